"""The picture of a frame with its candidates for a subject: coloured outlines, each with its number."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from stream.picture.frames import Frame, Plane, to_av
from stream.records.candidates import Candidate
from workers.scene.composite import blend, checkerboard

Rgb = tuple[int, int, int]
Lines = list[npt.NDArray[np.int32]]
"""Closed lines in subpixels, each int32 (n, 2)."""

COLOURS: tuple[Rgb, ...] = (
    (91, 140, 255), (255, 159, 67), (53, 208, 127), (243, 104, 224), (255, 217, 61), (46, 211, 230), (181, 140, 255),
    (255, 123, 123),
)  # fmt: skip
"""In turn. Those of subjects on the pages (`web/static/shared/pick.css`)."""

_DARK: Rgb = (16, 18, 24)
_LONG_SIDE_PX = 1920
_TINT = 0.16  # of the colour inside an outline
_DEEP = 0.9  # of the largest distance from the border: where labels may be
_FINER = 4  # bits of subpixels in coordinates


def draw(frame: Frame, candidates: Sequence[Candidate]) -> Plane:
    """uint8 (h, w, 3), RGB, at most 1920 pixels on the longer side. Small candidates are over large ones."""
    picture = _picture(frame)
    height, width = picture.shape[:2]
    stroke = max(2, round(max(height, width) / 480))
    ordered = sorted(candidates, key=lambda candidate: candidate.area, reverse=True)
    shapes = [_lines(candidate, width, height) for candidate in ordered]
    for candidate, lines in zip(ordered, shapes, strict=True):
        _tint(picture, lines, _colour(candidate))
    for candidate, lines in zip(ordered, shapes, strict=True):
        for colour, thick in ((_DARK, stroke + 2), (_colour(candidate), stroke)):
            cv2.polylines(picture, lines, True, colour, thick, cv2.LINE_AA, _FINER)
    return _numbered(picture, list(zip(ordered, shapes, strict=True)), max(12, round(min(height, width) / 30)))


def _picture(frame: Frame) -> Plane:
    """Where the frame is transparent, over a checkerboard."""
    if frame.alpha is not None:
        frame = frame.with_pixels(blend(frame.pixels, checkerboard(frame.width, frame.height), frame.alpha))
    rgb = np.asarray(to_av(frame, "rgb24").to_ndarray(), np.uint8)
    scale = _LONG_SIDE_PX / max(frame.width, frame.height)
    if scale >= 1.0:
        return np.ascontiguousarray(rgb).copy()
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _colour(candidate: Candidate) -> Rgb:
    return COLOURS[(candidate.number - 1) % len(COLOURS)]


def _lines(candidate: Candidate, width: int, height: int) -> Lines:
    """The outlines in subpixels. Pixel centres have whole coordinates in OpenCV."""
    scale = np.array([width, height], np.float64)
    return [np.rint((np.array(line) * scale - 0.5) * (1 << _FINER)).astype(np.int32) for line in candidate.outlines]


def _tint(picture: Plane, lines: Lines, colour: Rgb) -> None:
    inside = _filled(lines, picture.shape[:2]) > 0
    picture[inside] = np.rint(picture[inside] * (1 - _TINT) + np.array(colour) * _TINT).astype(np.uint8)


def _filled(lines: Lines, shape: tuple[int, ...]) -> Plane:
    """uint8, 1 inside an odd number of the lines."""
    mask = np.zeros(shape, np.uint8)
    if lines:
        cv2.fillPoly(mask, lines, 1, cv2.LINE_8, _FINER)  # by the rule of even and odd
    return mask


def _numbered(picture: Plane, shapes: Sequence[tuple[Candidate, Lines]], size: int) -> Plane:
    """With a label in each candidate, deep inside the part of it that no smaller candidate and no label covers, if
    there is one. shapes: from the largest to the smallest. size: of the letters, in pixels."""
    image = Image.fromarray(picture)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    covered, labelled = (np.zeros(picture.shape[:2], np.uint8) for _ in range(2))
    for candidate, lines in reversed(shapes):
        text, own = _label(candidate), _filled(lines, picture.shape[:2])
        free = next((part for part in (own & ~covered & ~labelled, own & ~labelled, own) if part.any()), None)
        if free is None:  # too small to have a pixel here
            continue
        left, top, right, bottom = pen.textbbox((0, 0), text, font, anchor="lt")
        half = (right - left) / 2 + size * 0.35, (bottom - top) / 2 + size * 0.3
        x, y = (
            min(max(place, reach + 1), side - reach - 2)
            for place, reach, side in zip(_beside(own, half) or _deepest(free), half, image.size, strict=True)
        )
        box = (x - half[0], y - half[1], x + half[0], y + half[1])
        pen.rounded_rectangle(box, half[1] * 0.6, _DARK, _colour(candidate), max(1, size // 8))
        pen.text((x, y), text, (255, 255, 255), font, anchor="mm")
        reach = np.ceil(2 * np.array(half)).astype(int)  # so that a label of the same size does not touch it
        cv2.rectangle(labelled, (int(x - reach[0]), int(y - reach[1])), (int(x + reach[0]), int(y + reach[1])), 1, -1)
        covered |= own
    return np.asarray(image, np.uint8)


def _label(candidate: Candidate) -> str:
    """The number, and the class if it is one."""
    kind, _, name = candidate.subject.partition(":")
    return f"{candidate.number} {name}" if kind == "class" else str(candidate.number)


def _beside(mask: Plane, half: tuple[float, float]) -> tuple[float, float] | None:
    """The centre of a label above or below a mask that the label would hide; None for larger masks. half: half the
    label's width and height."""
    left, top, width, height = cv2.boundingRect(mask)
    if width > 2.2 * half[0] and height > 2.2 * half[1]:
        return None
    above, below = top - half[1] - 3, top + height + half[1] + 3
    return left + width / 2, above if above > half[1] else below


def _deepest(mask: Plane) -> tuple[float, float]:
    """x, y of a place about as far as possible from the border of the mask; of several, the one nearest the middle."""
    distance = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    rows, columns = np.nonzero(distance >= _DEEP * distance.max())
    middle = [places.mean() for places in np.nonzero(mask)]
    nearest = int(np.hypot(rows - middle[0], columns - middle[1]).argmin())
    return float(columns[nearest]), float(rows[nearest])
