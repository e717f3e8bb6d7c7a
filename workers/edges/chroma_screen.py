"""The screen behind a subject: its colour, measured along the picture's border, and the alpha of each chroma value.

Green, blue or any other saturated screen. Uses chroma only, which stays the same where light and folds change a
screen's brightness. Alpha and despilled chroma of every pair (U, V) are in one table, computed once per video.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Frame
from workers.edges.spill import NEUTRAL, Floats, Yuv, components, without_spill

FAINT = 16.0  # levels of chroma: a border below this is grey, and its hue would be noise
_MIN_SHARE = 0.1  # of the border that a screen fills
_DEFAULT_SPREAD = 0.1  # of the key's saturation, where it cannot be measured
_OPAQUE, _OPAQUE_ASIDE = 0.9, 0.7  # distance of an opaque subject: grey or skin; yellow or cyan, which are near green
THIN = 0.15  # alpha below which division by it amplifies noise


@dataclass(frozen=True, slots=True)
class Screen:
    """A video's screen. key: Y, U, V in levels. spread: distance of its pixels from the key; that of grey is 1.0.

    table: uint32 (65536,), by U * 256 + V: alpha, U and V of the subject, and 0, as four bytes.
    measured: found in the picture, and kept; otherwise it is searched for in the next frame too.
    """

    key: Yuv
    spread: float
    table: npt.NDArray[np.uint32]
    measured: bool


def find_screen(frame: Frame, key: Yuv | None) -> Screen | None:
    """The colour that fills most of the picture's border, weighted by saturation; None if the border is grey.

    key: Y, U, V given by the user. It selects the hue; the exact colour is still measured, as the camera shows it.
    """
    border = _border(frame)
    chroma = border[:, 1:] - NEUTRAL
    near = _near_hue(chroma, key) if key else _near_peak(chroma)
    if near.mean() < _MIN_SHARE:
        return make_screen(key, _DEFAULT_SPREAD, measured=False) if key else None
    y, u, v = np.median(border[near], axis=0)
    distance = _distance(chroma, np.array([u, v]) - NEUTRAL)[0]
    screen = distance[distance < 0.5]
    spread = float(np.percentile(screen, 99)) if screen.size else _DEFAULT_SPREAD
    return make_screen((float(y), float(u), float(v)), spread, measured=True)


def _border(frame: Frame) -> Floats:
    """(N, 3): Y, U, V of a strip along the four sides."""
    luma, u, v = frame.planes()
    strip = max(1, min(u.shape) // 16)
    first, inner, last = slice(None, strip), slice(strip, -strip), slice(-strip, None)
    sides = (first, slice(None)), (last, slice(None)), (inner, first), (inner, last)
    parts = [np.dstack([plane[side] for plane in (luma[::2, ::2], u, v)]).reshape(-1, 3) for side in sides]
    return np.concatenate(parts).astype(np.float64)


def _near_hue(chroma: Floats, key: Yuv) -> npt.NDArray[np.bool_]:
    """Which of (N, 2) have about the key's hue, and enough saturation."""
    direction = np.array(key[1:]) - NEUTRAL
    along, aside = components(chroma, direction)
    return np.asarray((along > max(FAINT, 0.3 * np.hypot(*direction))) & (aside < 0.5 * along))


def _near_peak(chroma: Floats) -> npt.NDArray[np.bool_]:
    """Which of (N, 2) are near the most common saturated pair."""
    counts, _, _ = np.histogram2d(chroma[:, 0], chroma[:, 1], bins=32, range=[(-128.0, 128.0)] * 2)
    smoothed = cv2.blur(counts, (3, 3), borderType=cv2.BORDER_CONSTANT)
    centres = np.linspace(-124, 124, 32)
    saturation = np.hypot(*np.meshgrid(centres, centres, indexing="ij"))
    row, column = divmod(int(np.argmax(smoothed * saturation * (saturation > FAINT))), 32)
    peak = centres[[row, column]]
    near = np.abs(chroma - peak).max(axis=1) <= 12
    return np.asarray(near & (np.hypot(*chroma.T) > FAINT))


def make_screen(key: Yuv, spread: float, measured: bool) -> Screen:
    """A screen of this colour, with its table. spread: as in `Screen`."""
    return Screen(key, spread, _table(np.array(key[1:]) - NEUTRAL, spread), measured)


def _table(key: Floats, spread: float) -> npt.NDArray[np.uint32]:
    """`Screen.table`. key: (2,), U and V relative to neutral."""
    chroma = np.stack(np.meshgrid(*[np.arange(256.0) - NEUTRAL] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    distance, sine = _distance(chroma, key)
    clear = np.clip(1.2 * spread + 0.02, 0.05, 0.45)
    opaque = _OPAQUE - (_OPAQUE - _OPAQUE_ASIDE) * sine**2 - 0.3 * spread  # the subject's colours have noise too
    alpha = np.clip((distance - clear) / (opaque - clear), 0.0, 1.0)
    subject = without_spill(_unmix(chroma, key, alpha), key) + NEUTRAL
    columns = np.column_stack([alpha * 255, subject, np.zeros_like(alpha)])
    return np.ascontiguousarray(np.rint(columns).clip(0, 255).astype(np.uint8)).view(np.uint32)[:, 0]


def _unmix(chroma: Floats, key: Floats, alpha: Floats) -> Floats:
    """(N, 2): the subject's chroma in pixels that mix it with the key by `alpha`; towards grey below `THIN`."""
    divisor = np.maximum(alpha, THIN)[:, None]
    return (key + (chroma - key) / divisor) * np.minimum(1.0, alpha / THIN)[:, None]


def _distance(chroma: Floats, key: Floats) -> tuple[Floats, Floats]:
    """The distances of (N, 2) from the key, 1.0 for grey, and the sines of the angles between the directions from the
    key to each and to grey. Excess saturation does not count as distance: screens have bright spots.
    """
    along, aside = components(chroma, key)
    saturation = np.hypot(*key)
    lacking = np.maximum(saturation - along, 0.0)
    distance = np.hypot(lacking, aside)
    return distance / saturation, aside / np.maximum(distance, 1e-6)
