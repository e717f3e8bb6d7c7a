"""Closed captions inside H.264 cannot be kept, and their loss is reported."""

import re
from pathlib import Path

import pytest

from tests.media import drain, numbered_clip

_SLICE = re.compile(rb"\x00\x00\x01[\x41\x61\x65\x01]")


def with_captions(path: Path, clip: Path, *pairs: bytes) -> Path:
    """A raw H.264 stream with this caption data before each frame. pairs: flags and two characters each."""
    content = b"\xb5\x001GA94\x03" + bytes((0x40 | len(pairs), 0xFF)) + b"".join(pairs) + b"\xff"
    message = b"\0\0\1\x06\x04" + bytes((len(content),)) + content + b"\x80"
    path.write_bytes(_SLICE.sub(lambda match: message + match[0], clip.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("pairs", "codes"),
    [
        ([b"\xfcAB"], ["no_captions"]),
        ([b"\xfc\x80\x80", b"\xfd\x94\x20"], ["no_captions"]),
        ([b"\xfc\x80\x80"], []),  # padding
        ([b"\xf8AB"], []),  # not valid
    ],
)
def test_the_loss_of_captions_is_reported(tmp_path: Path, pairs: list[bytes], codes: list[str]) -> None:
    clip = numbered_clip(tmp_path / "clip.h264", 12, options={"slices": "1", "bf": "0"})
    frames, found = drain(with_captions(tmp_path / "in.h264", clip, *pairs))
    assert len(frames) == 12
    assert found == codes
