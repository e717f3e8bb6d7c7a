"""Draws a view of a picture in full quality: all its pixels, its chroma at full resolution, its own colour space, its
16 bits or its linear light.

The view is first drawn in I420, as for video. What I420 lost of the picture is then added again where the subject is
opaque: there, the result has exactly the source's values, unless the subject's colours were changed. Soft edges,
background and tint are those of the I420 picture, converted to the source's colours. In a transparent result, soft
edges too have the source's values if their colours were not changed.
"""

from dataclasses import dataclass, replace

import numpy as np

from stream.picture.frames import Frame, Plane, to_av
from stream.picture.icc import Space
from stream.picture.photo import Pixels, as_displayed, bands, from_displayed, from_matte
from stream.records.options import View

# Alpha above which the lost part is added, rising to all of it at 255. Below, it would also bring back the old
# background: in front of black, a green screen left up to 87 levels of green if added in proportion to alpha, 12 here.
_OPAQUE = 230
_SHARES = (np.clip(np.arange(256) - _OPAQUE, 0, None) / (255 - _OPAQUE)).astype(np.float32)
"""The share of the lost part that is added, 0 to 1, by alpha."""


@dataclass(frozen=True)
class _Tile:
    """A part of the drawn view that shows the whole picture. left: its first column in I420. alpha: uint8 (H, W); None:
    the source alone. blank: black where alpha is 0."""

    left: int
    alpha: Plane | None
    blank: bool = False


def in_full_quality(frame: Frame, drawn: Frame, alpha: Plane, view: View) -> Frame:
    """`drawn` with the view in full quality as its photo.

    frame: the input, with its photo. drawn: what `render` drew of it. alpha: uint8 (H, W), the final matte.
    """
    photo = frame.photo
    if photo is None or drawn is frame:
        return drawn
    height, width = photo.pixels.shape[:2]
    crop = alpha[:height, :width]
    match view:
        case View.MATTE:
            matte = from_matte(np.ascontiguousarray(crop), photo.pixels.dtype)
            return replace(drawn, photo=replace(photo, pixels=matte, profile=b""))
        case View.SIDE_BY_SIDE:
            tiles = [_Tile(0, None), _Tile(frame.width, crop)]
        case View.STACKED:
            tiles = [_Tile(0, crop, blank=True)]
        case _:
            tiles = [_Tile(0, crop, blank=drawn.alpha is not None)]
    down, across = (2 if view is View.STACKED else 1), len(tiles)
    pixels = np.empty((height * down, width * across, 3), photo.pixels.dtype)
    for number, tile in enumerate(tiles):
        _fill(pixels[:height, number * width : (number + 1) * width], frame, drawn, tile)
    if view is View.STACKED:
        pixels[height:] = from_matte(crop, pixels.dtype)[..., None]
    return replace(drawn, photo=replace(photo, pixels=pixels))


def _fill(pixels: Pixels, frame: Frame, drawn: Frame, tile: _Tile) -> None:
    """Draw a tile, band by band. pixels: RGB (H, W, 3) in the photo's colour space, written to."""
    photo = frame.photo
    assert photo is not None
    if tile.alpha is None:
        pixels[...] = photo.pixels
        return
    space, width = Space(photo.profile), photo.width
    for top, bottom in bands(width, photo.height):
        alpha = tile.alpha[top:bottom, :, None]
        shown = space.from_srgb(_rgb(drawn, top, bottom)[:, tile.left : tile.left + width])
        known = space.from_srgb(_rgb(frame, top, bottom)[:, :width])
        original = photo.pixels[top:bottom]
        shares, unchanged = _SHARES[alpha], (shown == known).all(axis=2, keepdims=True)
        if tile.blank:
            shares = np.where(unchanged, np.float32(1), shares)
        band = from_displayed(shown + (as_displayed(original) - known) * shares, pixels.dtype)
        band = np.where(unchanged & (shares == 1), original, band)  # exact in linear light too, and out of range
        pixels[top:bottom] = np.where(alpha > 0, band, np.zeros_like(band)) if tile.blank else band


def _rgb(frame: Frame, top: int, bottom: int) -> Plane:
    """Rows of a frame as RGB, uint8 (rows, W, 3). top: even."""
    end = bottom + bottom % 2
    planes = [plane[top // step : end // step] for plane, step in zip(frame.planes(), (1, 2, 2), strict=True)]
    pixels = np.concatenate([np.ascontiguousarray(plane).reshape(-1) for plane in planes])
    part = Frame(pixels.reshape(-1, frame.width), 0, frame.time_base)
    return np.asarray(to_av(part, "rgb24").to_ndarray(), np.uint8)[: bottom - top]
