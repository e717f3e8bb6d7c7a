"""Colours of pictures with an ICC profile: to sRGB, which engines and backgrounds use, and back.

LittleCMS inside Pillow does the conversions.
"""

import functools
import io
from contextlib import suppress

import numpy as np
from PIL import Image, ImageCms

from stream.picture.frames import Plane

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_CHANNELS = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # colour space of a profile → Pillow's mode


@functools.cache
def srgb_profile() -> bytes:
    """An ICC profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


class Space:
    """The colour space of an ICC profile; of an empty one, sRGB.

    mode: Pillow's mode of pictures in it: "RGB", "L" or "CMYK". invertible: whether `from_srgb` is possible; it is not
    for grey, CMYK, and profiles of input devices without a table for the inverse. Raises ValueError for a profile that
    cannot be read.
    """

    def __init__(self, profile: bytes) -> None:
        self.mode, self._forward, self._back = "RGB", None, None
        if not profile:
            self.invertible = True
            return
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            self.mode = _CHANNELS[own.profile.xcolor_space.strip()]
            self._forward = _transform(own, _srgb(), self.mode, "RGB")
        except (ImageCms.PyCMSError, OSError, KeyError) as exc:
            raise ValueError(f"the ICC profile cannot be used: {exc}") from None
        with suppress(ImageCms.PyCMSError):
            self._back = _transform(_srgb(), own, "RGB", "RGB") if self.mode == "RGB" else None
        self.invertible = self._back is not None
        if self._back is not None and _same(self._forward):
            self._forward = self._back = None

    def to_srgb(self, pixels: Plane) -> Plane:
        """uint8, RGB or CMYK (H, W, C) or grey (H, W) in this space, to sRGB, uint8 (H, W, 3)."""
        return pixels if self._forward is None and self.mode == "RGB" else _converted(self._forward, pixels, self.mode)

    def from_srgb(self, pixels: Plane) -> Plane:
        """sRGB to RGB in this space, both uint8 (H, W, 3). Only if `invertible`."""
        return pixels if self._back is None else _converted(self._back, pixels, "RGB")


@functools.cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _transform(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, source_mode: str, target_mode: str
) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(source, target, source_mode, target_mode, _INTENT, _FLAGS)


def _converted(transform: ImageCms.ImageCmsTransform | None, pixels: Plane, mode: str) -> Plane:
    assert transform is not None
    image = Image.fromarray(np.ascontiguousarray(pixels), mode)
    return np.asarray(ImageCms.applyTransform(image, transform), np.uint8)


def _same(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform of RGB changes no colour by more than a level: the profile is one of sRGB."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    return int(np.abs(_converted(transform, cube, "RGB").astype(int) - cube).max()) <= 1
