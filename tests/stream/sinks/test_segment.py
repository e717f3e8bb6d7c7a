"""Parts of an output as they wait: together no larger than what is made of them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.encode import FORMATS
from stream.frames import Frame, VideoInfo
from stream.pump import Sink
from stream.settings import Settings
from stream.sinks.file import FileSink
from stream.sinks.segment import Part, join, open_segment

SETTINGS = Settings(hw_encode=False, threads=1)
CLOCK, STEP, LENGTH = Fraction(1, 15360), 512, 240
_HEADER = 768  # bytes of what a MOV or WebM says once


def frame(number: int, alpha: bool) -> Frame:
    """So small that all around it weighs as much as it can: a square that moves."""
    pixels = np.full((72, 64), 128, np.uint8)
    pixels[:48] = 60
    pixels[10:20, number % 40 : number % 40 + 10] = 200
    return Frame(pixels, number * STEP, CLOCK, alpha=np.full((48, 64), 255, np.uint8) if alpha else None)


def written(sink: Sink, numbers: range, alpha: bool) -> None:
    sink.open(VideoInfo(64, 48, CLOCK, Fraction(30), has_alpha=alpha))
    for number in numbers:
        sink.write(frame(number, alpha))
    sink.close()


def joined(folder: Path, suffix: str, alpha: bool) -> tuple[list[Path], Path]:
    chosen, parts = FORMATS[suffix], []
    for first in range(0, 3 * LENGTH, LENGTH):
        path = folder / f"{first}.part"
        written(open_segment(path, chosen, alpha, SETTINGS), range(first, first + LENGTH), alpha)
        parts.append(Part(path, first * STEP))
    info = VideoInfo(64, 48, CLOCK, Fraction(30), has_alpha=alpha)
    join(parts, info, (), folder / f"whole{suffix}", chosen, SETTINGS)
    return [part.path for part in parts], folder / f"whole{suffix}"


@pytest.mark.parametrize(
    ("suffix", "alpha", "more"),
    [
        (".mp4", False, 0),
        (".webm", False, 0),
        (".mkv", False, 0),
        (".mkv", True, 0),
        (".png", False, 0),
        (".webm", True, _HEADER),
        (".mov", False, _HEADER),
    ],
)
def test_parts_are_no_larger_than_the_whole(tmp_path: Path, suffix: str, alpha: bool, more: int) -> None:
    parts, whole = joined(tmp_path, suffix, alpha)
    sizes = [part.stat().st_size for part in parts]
    assert sum(sizes) <= whole.stat().st_size + more * len(parts)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_the_whole_says_of_itself_what_one_pass_says(tmp_path: Path, suffix: str) -> None:
    _, ours = joined(tmp_path, suffix, False)
    theirs = tmp_path / f"one{suffix}"
    written(FileSink(theirs, FORMATS[suffix], SETTINGS), range(3 * LENGTH), False)
    assert said(ours) == said(theirs)


def said(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        words = ("color_range", "colorspace", "color_primaries", "color_trc", "pix_fmt", "name", "width", "height")
        return {word: getattr(codec, word) for word in words} | {
            "rate": stream.average_rate, "clock": stream.time_base, "length": container.duration,
        }  # fmt: skip
