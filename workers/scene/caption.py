"""A line of text as a picture with alpha, to be composited like a subject: white letters on a dark strip.

Drawn with the fonts in the wheel of OpenCV 5; `stream/records/slate.py` lists their characters.
"""

import functools
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from stream.picture.frames import Plane
from workers.scene.composite import BLACK, flat

_FONT = "sans"  # OpenCV takes characters that it lacks from "uni"
_WEIGHT = 500
_WHITE = 235  # Y
_DIM = 160  # alpha of the strip
_LINES = 3  # at most, at the largest size
_LEAST_PX = 8
_WIDTH = 0.86  # of the picture that a line may fill
_BOTTOM = 0.1  # of the picture's height below the strip
_SPACING = 1.4  # from line to line, in heights of the letters
# Where lines may break: after spaces, and between characters of Chinese and Japanese.
_PIECES = re.compile("[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]|[^ \u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]+ *| +")
_drawing = threading.Lock()  # OpenCV does not promise that several threads may draw text


@dataclass(frozen=True)
class Caption:
    """pixels: I420, read-only. alpha: uint8 (H, W): 255 on the letters, less on the strip, 0 elsewhere."""

    pixels: Plane
    alpha: Plane


@functools.lru_cache(maxsize=8)
def caption(text: str, width: int, height: int) -> Caption:
    """The text in the lower third of a picture of this size, both even: centred, on as many lines as it needs. The
    letters are a twelfth of the height, or smaller if the text would not fit. Drawn once for each text and size."""
    with _drawing:
        font = _Font()
        size, lines = _layout(font, text, width, height)
        mask = np.zeros((height, width), np.uint8)
        step = round(size * _SPACING)
        bottom = round(height * (1 - _BOTTOM))
        top = max(0, bottom - len(lines) * step - size)
        for number, line in enumerate(lines):
            left = (width - font.width(line, size)) // 2
            font.draw(mask, line, (left, top + size // 2 + number * step + round(size * 1.05)), size)
    alpha = mask.copy()
    np.maximum(alpha[top:bottom], _DIM, out=alpha[top:bottom])
    pixels = flat(*BLACK, width, height)
    pixels[:height] += (mask * ((_WHITE - BLACK[0]) / 255)).astype(np.uint8)
    for plane in (pixels, alpha):
        plane.flags.writeable = False
    return Caption(pixels, alpha)


class _Font:
    """Sizes in pixels."""

    def __init__(self) -> None:
        self._face = cv2.FontFace(_FONT)

    def width(self, text: str, size: int) -> int:
        return int(cv2.getTextSize((0, 0), text, (0, 0), self._face, size, _WEIGHT)[2])

    def draw(self, mask: Plane, text: str, start: tuple[int, int], size: int) -> None:
        """start: left end of the baseline."""
        cv2.putText(mask, text, start, 255, self._face, size, _WEIGHT)


def _layout(font: _Font, text: str, width: int, height: int) -> tuple[int, list[str]]:
    """The largest size at which the text fits, and its lines. Words are broken only if they do not fit at half of the
    usual size."""
    largest, limit = max(_LEAST_PX, min(height // 12, width // 14)), round(width * _WIDTH)
    words = _PIECES.findall(text)
    choices = [(size, words) for size in _sizes(largest, largest // 2)]
    choices += [(size, list(text)) for size in _sizes(largest // 2, _LEAST_PX)]
    for size, pieces in choices:
        lines = list(_lines(font, pieces, size, limit))
        if len(lines) <= _LINES and all(font.width(line, size) <= limit for line in lines):
            break
    return size, _balanced(font, pieces, size, lines)


def _sizes(largest: int, least: int) -> Iterator[int]:
    """From `largest` to `least`, in steps of a tenth; never below what is readable."""
    size, least = max(largest, _LEAST_PX), max(least, _LEAST_PX)
    while size > least:
        yield size
        size = max(least, size * 9 // 10)
    yield least


def _balanced(font: _Font, pieces: list[str], size: int, lines: list[str]) -> list[str]:
    """As many lines, of more equal length."""
    best = lines
    for limit in range(max(font.width(line, size) for line in lines), 0, -size):
        narrower = list(_lines(font, pieces, size, limit))
        if len(narrower) > len(lines):
            break
        best = narrower
    return best


def _lines(font: _Font, pieces: list[str], size: int, limit: int) -> Iterator[str]:
    """Lines no wider than `limit`, except those of a single piece."""
    line = ""
    for piece in pieces:
        if line and font.width((line + piece).rstrip(), size) > limit:
            yield line.rstrip()
            line = ""
        line += piece
    yield line.rstrip()
