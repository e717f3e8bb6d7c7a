"""The tint that a green or blue screen throws on a subject, and how to take it off: on chroma alone.

Knows screens only. What any other old background left in soft edges is for an estimate of the foreground.
"""

import functools

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Plane, split_i420

Floats = npt.NDArray[np.float64]
Yuv = tuple[float, float, float]

NEUTRAL = 128
_ORDINARY = np.tan(np.radians(50.0))  # hues further than this from the screen's are never spill
_SPILL_LEFT = 0.05  # of the key's saturation: less is not seen, and olive clothes stay as they are
_SATURATED = 24.0  # levels of chroma: painted walls are below


def without_spill(chroma: Floats, key: Floats) -> Floats:
    """(N, 2) U and V from neutral, with no more of the key's colour than hues that are not the screen's have."""
    along, aside = components(chroma, key)
    saturation = np.hypot(*key)
    allowed = np.maximum(aside / _ORDINARY, _SPILL_LEFT * saturation)
    return np.asarray(chroma - np.maximum(along - allowed, 0.0)[:, None] * key / saturation)


def components(chroma: Floats, key: Floats) -> tuple[Floats, Floats]:
    """Of (N, 2): how much of it points along the key, in levels, and how much aside, without sign."""
    direction = key / np.hypot(*key)
    return chroma @ direction, np.abs(chroma @ np.array([-direction[1], direction[0]]))


def is_screen(key: Yuv) -> bool:
    """Is this the colour of a screen? One is saturated, and never reddish: skin is, and must not lose its colour to a
    wall that resembles it."""
    u, v = key[1] - NEUTRAL, key[2] - NEUTRAL
    return bool(np.hypot(u, v) >= _SATURATED and v < 0)


def removed(pixels: Plane, screen: Yuv, strength: float) -> Plane:
    """I420 with the screen's tint taken off by `strength`, 0-1; brightness stays as it is."""
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
