"""Spill removal: takes the tint of a green or blue screen out of a subject, on chroma only.

For screens only. Traces of other backgrounds in soft edges are the task of foreground estimation.
"""

import functools

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Plane, split_i420

Floats = npt.NDArray[np.float64]
Yuv = tuple[float, float, float]

NEUTRAL = 128
_MAX_HUE_TANGENT = np.tan(np.radians(50.0))  # hues further than this from the screen's are never spill
_TOLERATED = 0.05  # of the key's saturation: less is invisible, and olive clothes stay unchanged
_MIN_SATURATION = 24.0  # of a screen, in levels of chroma: painted walls are below


def without_spill(chroma: Floats, key: Floats) -> Floats:
    """(N, 2) U and V relative to neutral, without the excess along the key of hues near the screen's."""
    along, aside = components(chroma, key)
    saturation = np.hypot(*key)
    allowed = np.maximum(aside / _MAX_HUE_TANGENT, _TOLERATED * saturation)
    return np.asarray(chroma - np.maximum(along - allowed, 0.0)[:, None] * key / saturation)


def components(chroma: Floats, key: Floats) -> tuple[Floats, Floats]:
    """The components of (N, 2) along the key (signed) and perpendicular to it (absolute), in levels."""
    direction = key / np.hypot(*key)
    return chroma @ direction, np.abs(chroma @ np.array([-direction[1], direction[0]]))


def is_screen(key: Yuv) -> bool:
    """Whether this is the colour of a screen: saturated and not reddish. Reddish walls resemble skin, which must not
    lose its colour."""
    u, v = key[1] - NEUTRAL, key[2] - NEUTRAL
    return bool(np.hypot(u, v) >= _MIN_SATURATION and v < 0)


def despilled(pixels: Plane, screen: Yuv, strength: float) -> Plane:
    """I420 with the screen's tint reduced by `strength`, 0-1; luma is unchanged."""
    out = pixels.copy()
    _, u, v = split_i420(out)
    pairs = cv2.merge([v, u]).view("<u2")[..., 0]
    clean = _table(round(screen[1]), round(screen[2]), strength).take(pairs).view(np.uint8).reshape(*pairs.shape, 2)
    u[...], v[...] = clean[..., 0], clean[..., 1]
    return out


@functools.lru_cache(maxsize=64)
def _table(u: int, v: int, strength: float) -> npt.NDArray[np.uint16]:
    """uint16 (65536,), by U * 256 + V: U and V of the subject, as two bytes."""
    chroma = np.stack(np.meshgrid(*[np.arange(256.0) - NEUTRAL] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    key = np.array([u, v], float) - NEUTRAL
    mixed = chroma + strength * (without_spill(chroma, key) - chroma) + NEUTRAL
    return np.ascontiguousarray(np.rint(mixed).clip(0, 255).astype(np.uint8)).view(np.uint16)[:, 0]
