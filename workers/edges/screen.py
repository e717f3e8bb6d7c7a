"""The screen behind a subject: its colour, measured along the picture's border, and what each chroma value says of it.

Green, blue or any other saturated screen. Works on chroma alone, where a screen keeps its place while light and folds
change its brightness. Everything that a pair (U, V) decides is in one table, made once for each video.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Frame
from workers.edges.spill import NEUTRAL, Floats, Yuv, components, without_spill

FAINT = 16.0  # levels of chroma: a border below this is grey, and noise would choose its colour
_SHARE = 0.1  # of the border: a screen fills at least so much of it
_SPREAD = 0.1  # of the key's saturation: how unlike itself a screen is whose border cannot tell
_OPAQUE, _OPAQUE_ASIDE = 0.9, 0.7  # distance of a subject: grey or skin; yellow or cyan, that lie nearer to green
THIN = 0.15  # alpha below which dividing by it gives noise, not colours


@dataclass(frozen=True, slots=True)
class Screen:
    """A video's screen. key: Y, U, V in levels. spread: how far its pixels lie from the key, 1.0 is as far as grey.

    table: uint32 (65536,), by U * 256 + V: alpha, U and V of the subject, and 0, as four bytes.
    measured: seen in the picture, and so kept; otherwise the next frame is looked at too.
    """

    key: Yuv
    spread: float
    table: npt.NDArray[np.uint32]
    measured: bool


def find_screen(frame: Frame, given: Yuv | None) -> Screen | None:
    """The colour that fills most of the picture's border, the more saturated the better; None if all is grey.

    given: Y, U, V; it decides the hue, and how the camera saw it is still measured, since nobody knows a screen's
    colour to the level.
    """
    border = _border(frame)
    chroma = border[:, 1:] - NEUTRAL
    near = _near_hue(chroma, given) if given else _near_peak(chroma)
    if near.mean() < _SHARE:
        return make_screen(given, _SPREAD, measured=False) if given else None
    y, u, v = np.median(border[near], axis=0)
    distance = _distance(chroma, np.array([u, v]) - NEUTRAL)[0]
    alike = distance[distance < 0.5]
    spread = float(np.percentile(alike, 99)) if alike.size else _SPREAD
    return make_screen((float(y), float(u), float(v)), spread, measured=True)


def _border(frame: Frame) -> Floats:
    """(N, 3): Y, U, V of a strip along the four sides."""
    luma, u, v = frame.planes()
    strip = max(1, min(u.shape) // 16)
    ends, between = slice(None, strip), slice(strip, -strip)
    back = slice(-strip, None)
    sides = (ends, slice(None)), (back, slice(None)), (between, ends), (between, back)
    parts = [np.dstack([plane[side] for plane in (luma[::2, ::2], u, v)]).reshape(-1, 3) for side in sides]
    return np.concatenate(parts).astype(np.float64)


def _near_hue(chroma: Floats, given: Yuv) -> npt.NDArray[np.bool_]:
    """Which of (N, 2) have about the given hue, and saturation enough to tell."""
    key = np.array(given[1:]) - NEUTRAL
    along, aside = components(chroma, key)
    return np.asarray((along > max(FAINT, 0.3 * np.hypot(*key))) & (aside < 0.5 * along))


def _near_peak(chroma: Floats) -> npt.NDArray[np.bool_]:
    """Which of (N, 2) lie around the commonest saturated pair."""
    counts, _, _ = np.histogram2d(chroma[:, 0], chroma[:, 1], bins=32, range=[(-128.0, 128.0)] * 2)
    around = cv2.blur(counts, (3, 3), borderType=cv2.BORDER_CONSTANT)
    centres = np.linspace(-124, 124, 32)
    saturation = np.hypot(*np.meshgrid(centres, centres, indexing="ij"))
    row, column = divmod(int(np.argmax(around * saturation * (saturation > FAINT))), 32)
    peak = centres[[row, column]]
    near = np.abs(chroma - peak).max(axis=1) <= 12
    return np.asarray(near & (np.hypot(*chroma.T) > FAINT))


def make_screen(key: Yuv, spread: float, measured: bool) -> Screen:
    """A screen of this colour, its table made. spread: as in `Screen`."""
    return Screen(key, spread, _table(np.array(key[1:]) - NEUTRAL, spread), measured)


def _table(key: Floats, spread: float) -> npt.NDArray[np.uint32]:
    """`Screen.table`. key: (2,), from neutral."""
    chroma = np.stack(np.meshgrid(*[np.arange(256.0) - NEUTRAL] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    distance, sideways = _distance(chroma, key)
    clear = np.clip(1.2 * spread + 0.02, 0.05, 0.45)
    opaque = _OPAQUE - (_OPAQUE - _OPAQUE_ASIDE) * sideways**2 - 0.3 * spread  # noise reaches into the subject too
    alpha = np.clip((distance - clear) / (opaque - clear), 0.0, 1.0)
    subject = without_spill(_unmix(chroma, key, alpha), key) + NEUTRAL
    columns = np.column_stack([alpha * 255, subject, np.zeros_like(alpha)])
    return np.ascontiguousarray(np.rint(columns).clip(0, 255).astype(np.uint8)).view(np.uint32)[:, 0]


def _unmix(chroma: Floats, key: Floats, alpha: Floats) -> Floats:
    """(N, 2): the subject's chroma in pixels that are `alpha` subject and the rest key; grey where too thin to tell."""
    part = np.maximum(alpha, THIN)[:, None]
    return (key + (chroma - key) / part) * np.minimum(1.0, alpha / THIN)[:, None]


def _distance(chroma: Floats, key: Floats) -> tuple[Floats, Floats]:
    """How far (N, 2) lie from the key, 1.0 is as far as grey; and the sine of the angle between the way there and
    the way to grey. What is more saturated than the key is no further: screens have bright spots.
    """
    along, aside = components(chroma, key)
    saturation = np.hypot(*key)
    short = np.maximum(saturation - along, 0.0)
    far = np.hypot(short, aside)
    return far / saturation, aside / np.maximum(far, 1e-6)
