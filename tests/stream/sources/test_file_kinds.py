"""Files that are not videos are called what they are."""

import zipfile
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from PIL import Image

from stream.errors import NoVideoStream, UnreadableMedia
from stream.settings import Settings
from stream.sources.file import FileSource
from tests.media import numbered_clip


def message(path: Path, kind: type[Exception] = UnreadableMedia) -> str:
    """What is said about the file, without its name."""
    with pytest.raises(kind) as caught:
        FileSource(path, Settings())
    assert type(caught.value) is kind
    text = str(caught.value)
    assert text.startswith(f"{path} ")
    return text.removeprefix(f"{path} ")


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "libmp3lame"), ("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.aac", "aac"), ("a.m4a", "aac")],
)
def test_sound(tmp_path: Path, name: str, codec: str) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = cast(av.AudioStream, container.add_stream(codec, rate=44100))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), format="s16", layout="mono")
        frame.rate = 44100
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    assert message(tmp_path / name, NoVideoStream) == "has only sound, no video"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff"])
def test_pictures(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / f"a.{suffix}")
    assert message(tmp_path / f"a.{suffix}") == "is a picture, not a video"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "is a picture, not a video"),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj", "is a PDF document, not a video"),
        (b"<!DOCTYPE html><html>", "is a web page, not a video; perhaps a download failed"),
        (
            b"#EXTM3U\nhttp://host/a.ts\n",
            "is a playlist, not a video: it names other files, which are not opened",
        ),
        (b"MZ is how this text begins, and a tab:\t\xc3\xa9\n" * 200, "is text, not a video"),
        (b"\x1f\x8b\x08" + bytes(40), "is an archive, not a video; unpack it first"),
        (b"\x7fELF" + bytes(40), "is a program, not a video"),
        (b"", "is empty"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert message(tmp_path / "a.mp4") == words


def test_zip_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.mp4", "w") as file:
        file.writestr("a", "b")
    assert message(tmp_path / "a.mp4") == "is a zip file or an Office document, not a video"


def test_a_video_that_was_cut_off(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "a.mp4", 30)
    clip.write_bytes(clip.read_bytes()[:1000])
    interrupted = "perhaps its recording or download was interrupted"
    assert message(clip) == f"is a video that is incomplete: its index (moov) is missing; {interrupted}"


def test_names_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to("nowhere")
    assert message(tmp_path / "link.mp4") == "is a link to a file that does not exist"
    assert message(tmp_path / "none.mp4") == "does not exist"
    assert message(tmp_path) == "is a folder, not a video"
    assert message(Path("/dev/null")) == "is not a regular file"
