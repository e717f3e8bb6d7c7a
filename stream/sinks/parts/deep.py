"""Frames for encoders of more than 8 bits, from the picture in full quality that a frame may carry."""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from stream.picture.frames import Frame, has_alpha, tag_bt709, to_av
from stream.picture.photo import Photo, as_displayed, from_displayed, from_matte


def deep_frame(frame: Frame, pix_fmt: str) -> av.VideoFrame:
    """As `to_av`, from the frame's picture if that has more than 8 bits and the frame's size."""
    photo = frame.photo
    if photo is None or frame.gray or not _is_better(photo, frame):
        return to_av(frame, pix_fmt)
    pixels = photo.pixels
    if pixels.dtype != np.uint16:
        pixels = from_displayed(np.nan_to_num(as_displayed(pixels)), np.uint16)
    if has_alpha(pix_fmt):
        alpha = np.full(pixels.shape[:2], 255, np.uint8) if frame.alpha is None else frame.alpha
        pixels = np.dstack([pixels, from_matte(alpha, np.uint16)])
    name = "rgba64le" if has_alpha(pix_fmt) else "rgb48le"
    out = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name).reformat(
        format=pix_fmt,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )
    tag_bt709(out)
    out.pts, out.time_base = frame.pts, frame.time_base
    return out


def _is_better(photo: Photo, frame: Frame) -> bool:
    return photo.pixels.dtype != np.uint8 and (photo.width, photo.height) == (frame.width, frame.height)
