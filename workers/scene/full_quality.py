"""Draws a view of a still picture in full quality: all its pixels, its chroma at full resolution, its own colour space.

The view is first drawn in I420, as for video. What I420 lost of the subject is then added again, in proportion to how
much of the subject a pixel shows. Where the subject is opaque and unchanged, the result has exactly the source's
values; elsewhere corrected edges, background and tint are those of the I420 picture, converted to the source's colours.
"""

from dataclasses import dataclass, replace

import numpy as np

from stream.picture.frames import Frame, Plane, to_av
from stream.picture.icc import Space
from stream.records.options import View

_BAND = 512  # rows drawn at a time, so that memory for intermediate values does not grow with the picture


@dataclass(frozen=True)
class _Tile:
    """A part of the drawn view that shows the whole picture. left: its first column in I420. share: of the subject at
    each pixel, uint8 (H, W); None: the source alone. blank: black where the share is 0."""

    left: int
    share: Plane | None
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
            return replace(drawn, photo=replace(photo, pixels=np.ascontiguousarray(crop), profile=b""))
        case View.SIDE_BY_SIDE:
            tiles = [_Tile(0, None), _Tile(frame.width, crop)]
        case View.STACKED:
            tiles = [_Tile(0, _visible(crop), blank=True)]
        case _:
            tiles = [_Tile(0, crop) if drawn.alpha is None else _Tile(0, _visible(crop), blank=True)]
    down, across = (2 if view is View.STACKED else 1), len(tiles)
    pixels = np.empty((height * down, width * across, 3), np.uint8)
    for number, tile in enumerate(tiles):
        _fill(pixels[:height, number * width : (number + 1) * width], frame, drawn, tile)
    if view is View.STACKED:
        pixels[height:] = crop[..., None]
    return replace(drawn, photo=replace(photo, pixels=pixels))


def _visible(alpha: Plane) -> Plane:
    """255 where alpha is not 0: there, outputs that carry alpha show the subject's colour alone."""
    return np.where(alpha > 0, np.uint8(255), np.uint8(0))


def _fill(pixels: Plane, frame: Frame, drawn: Frame, tile: _Tile) -> None:
    """Draw a tile, band by band. pixels: RGB (H, W, 3) in the photo's colour space, written to."""
    photo = frame.photo
    assert photo is not None
    if tile.share is None:
        pixels[...] = photo.pixels
        return
    space, width = Space(photo.profile), photo.width
    for top in range(0, photo.height, _BAND):
        bottom = min(photo.height, top + _BAND)
        share = tile.share[top:bottom, :, None].astype(np.float32) * np.float32(1 / 255)
        shown = space.from_srgb(_rgb(drawn, top, bottom)[:, tile.left : tile.left + width])
        known = space.from_srgb(_rgb(frame, top, bottom)[:, :width])
        lost = (photo.pixels[top:bottom].astype(np.int16) - known) * share
        band = np.rint(np.clip(shown + lost, 0, 255)).astype(np.uint8)
        pixels[top:bottom] = np.where(share > 0, band, 0) if tile.blank else band


def _rgb(frame: Frame, top: int, bottom: int) -> Plane:
    """Rows of a frame as RGB, uint8 (rows, W, 3). top: even."""
    end = bottom + bottom % 2
    planes = [plane[top // step : end // step] for plane, step in zip(frame.planes(), (1, 2, 2), strict=True)]
    pixels = np.concatenate([np.ascontiguousarray(plane).reshape(-1) for plane in planes])
    part = Frame(pixels.reshape(-1, frame.width), 0, frame.time_base)
    return np.asarray(to_av(part, "rgb24").to_ndarray(), np.uint8)[: bottom - top]
