"""Writes the frames of a sequence as picture files: PNG and TIFF with 8 or 16 bits, EXR in half float.

The colours are those of `Frame.photo`, if the frame has one, else of its I420 pixels.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol, cast

import av
import numpy as np

from stream.errors import UnsupportedOutput
from stream.install import needs
from stream.picture.frames import Frame, Plane, tag_bt709, to_av
from stream.picture.photo import Pixels, as_displayed, from_displayed, from_matte
from stream.picture.transfer import Floats, linear_levels

AlphaMode = Literal["straight", "premultiplied"]
BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""x and y of red, green, blue and white."""
_LARGEST_HALF = 65_504.0
_OPTIONS = {
    "png": {"compression_level": "1", "pred": "up"},  # a fifth of the time of the defaults, a fifth larger
    "tiff": {"compression_algo": "deflate"},
}
_EXTRA_SAMPLES = 338  # TIFF's tag: 1 for colours multiplied by alpha, 2 for straight ones


@dataclass(frozen=True)
class PictureOptions:
    """How the pictures of a sequence are written. alpha: whether colours are multiplied by it; None: premultiplied in
    EXR, straight in others. depth: bits of a channel, 8 or 16; 0: as in the source. EXR always has 16, half float."""

    alpha: AlphaMode | None = None
    depth: int = 0

    def check(self, suffix: str) -> None:
        """Raise UnsupportedOutput for what files with this suffix, in lower case, cannot have."""
        if suffix == ".png" and self.alpha == "premultiplied":
            raise UnsupportedOutput("PNG has straight alpha only; premultiplied alpha needs EXR or TIFF")
        if suffix == ".exr" and self.depth == 8:
            raise UnsupportedOutput("EXR has 16 bits per channel (half float); 8 bits need PNG or TIFF")


class PictureWriter(Protocol):
    """Writes frames to files, one each."""

    def write(self, frame: Frame, path: Path) -> None:
        """Raises OSError, and what the format's library raises."""
        ...


def picture_writer(suffix: str, options: PictureOptions, has_alpha: bool) -> PictureWriter:
    """The writer for files with this suffix, in lower case. Raises UnsupportedOutput, also if a package is missing."""
    options.check(suffix)
    if suffix == ".exr":
        return ExrWriter(options.alpha != "straight", has_alpha)
    return IntegerWriter("png" if suffix == ".png" else "tiff", options, has_alpha)


class IntegerWriter:
    """PNG or TIFF, by FFmpeg's encoder `codec`."""

    def __init__(self, codec: str, options: PictureOptions, has_alpha: bool) -> None:
        self._codec, self._depth, self._has_alpha = codec, options.depth, has_alpha
        self._premultiplied = options.alpha == "premultiplied"
        self._encoders: dict[tuple[str, int, int], av.VideoCodecContext] = {}

    def write(self, frame: Frame, path: Path) -> None:
        picture = self._picture(frame)
        content = b"".join(bytes(packet) for packet in self._encoder(picture).encode(picture))
        if self._codec == "tiff" and self._has_alpha and self._premultiplied and not frame.gray:
            content = _marked_premultiplied(content)
        path.write_bytes(content)

    def _picture(self, frame: Frame) -> av.VideoFrame:
        depth = self._depth or (8 if frame.photo is None or frame.photo.pixels.dtype == np.uint8 else 16)
        if frame.photo is None and depth == 8 and not self._premultiplied:
            return to_av(frame, "gray" if frame.gray else "rgba" if self._has_alpha else "rgb24")
        dtype = np.uint8 if depth == 8 else np.uint16
        if frame.gray:
            matte = _converted_matte(_colours(frame), dtype)
            return av.VideoFrame.from_ndarray(matte, format="gray" if depth == 8 else "gray16le")
        pixels = _converted(_colours(frame), dtype)
        if self._has_alpha:
            alpha = from_matte(_alpha(frame, pixels.shape), dtype)
            if self._premultiplied:
                pixels = _multiplied(pixels, alpha)
            pixels = np.dstack([pixels, alpha])
        name = "rgba" if self._has_alpha else "rgb"
        name += {8: "" if self._has_alpha else "24", 16: "64le" if self._has_alpha else "48le"}[depth]
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name)

    def _encoder(self, picture: av.VideoFrame) -> av.VideoCodecContext:
        key = picture.format.name, picture.width, picture.height
        if key not in self._encoders:
            context = cast(av.VideoCodecContext, av.VideoCodecContext.create(self._codec, "w"))
            stored = picture.format.name if self._codec == "tiff" else picture.format.name.replace("le", "be")
            context.width, context.height, context.pix_fmt = picture.width, picture.height, stored
            context.time_base = Fraction(1, 24)  # required, and not stored
            context.options = _OPTIONS[self._codec]
            tag_bt709(context, full_range=True)
            self._encoders[key] = context
        return self._encoders[key]


class ExrWriter:
    """EXR in half float: scene-linear light, with the chromaticities of the source, or those of BT.709.

    A matte is stored as it is, in red, green and blue.
    """

    def __init__(self, premultiplied: bool, has_alpha: bool) -> None:
        try:
            import OpenEXR
        except ModuleNotFoundError:
            raise UnsupportedOutput(needs("EXR output", "OpenEXR", "mattebox[exr]")) from None
        self._library = OpenEXR
        self._premultiplied, self._has_alpha = premultiplied, has_alpha

    def write(self, frame: Frame, path: Path) -> None:
        library = self._library
        header = {
            "compression": library.ZIP_COMPRESSION,  # lossless, in blocks of 16 lines, read by all programs
            "type": library.scanlineimage,
            "chromaticities": (frame.photo.chromaticities if frame.photo else ()) or BT709,
        }
        pixels = self._pixels(frame)
        with library.File(header, {"RGBA" if pixels.shape[2] == 4 else "RGB": pixels}) as file:
            file.write(str(path))

    def _pixels(self, frame: Frame) -> Pixels:
        """float16 (H, W, 3 or 4)."""
        colours = _colours(frame)
        if frame.gray:
            return np.repeat(np.asarray(_converted_matte(colours, np.float16))[..., None], 3, axis=2)
        linear = _linear(colours)
        if self._has_alpha:
            alpha = np.asarray(from_matte(_alpha(frame, linear.shape), np.float32), np.float32)[..., None]
            linear = np.concatenate([linear * alpha if self._premultiplied else linear, alpha], axis=2)
        return np.ascontiguousarray(np.clip(linear, -_LARGEST_HALF, _LARGEST_HALF).astype(np.float16))


def _colours(frame: Frame) -> Pixels:
    """RGB (H, W, 3), or a matte (H, W), as in `Photo.pixels`."""
    if frame.photo is not None:
        return frame.photo.pixels
    return frame.pixels if frame.gray else np.asarray(to_av(frame, "rgb24").to_ndarray(), np.uint8)


def _alpha(frame: Frame, shape: tuple[int, ...]) -> Plane:
    """uint8 of the picture's size; opaque where the frame has none."""
    height, width = shape[:2]
    return np.full((height, width), 255, np.uint8) if frame.alpha is None else frame.alpha[:height, :width]


def _converted(pixels: Pixels, dtype: type[np.uint8] | type[np.uint16]) -> Pixels:
    return pixels if pixels.dtype == dtype else from_displayed(np.nan_to_num(as_displayed(pixels)), dtype)


def _converted_matte(matte: Pixels, dtype: type[np.uint8] | type[np.uint16] | type[np.float16]) -> Pixels:
    if matte.dtype == dtype:
        return matte
    largest = 1.0 if matte.dtype.kind == "f" else float(np.iinfo(matte.dtype).max)
    return from_matte(np.rint(matte.astype(np.float32) / np.float32(largest) * 255).astype(np.uint8), dtype)


def _linear(pixels: Pixels) -> Floats:
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32)
    return linear_levels(int(np.iinfo(pixels.dtype).max))[pixels]


def _multiplied(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Integer colours (H, W, 3) times alpha (H, W), rounded to nearest."""
    largest = int(np.iinfo(pixels.dtype).max)
    product = pixels.astype(np.uint64) * alpha[..., None].astype(np.uint64)
    return ((product + largest // 2) // largest).astype(pixels.dtype)


def _marked_premultiplied(tiff: bytes) -> bytes:
    """A little-endian TIFF whose tag says that its colours are multiplied by alpha; FFmpeg writes that they are not."""
    content = bytearray(tiff)
    at = int.from_bytes(content[4:8], "little")
    for entry in range(at + 2, at + 2 + 12 * int.from_bytes(content[at : at + 2], "little"), 12):
        if int.from_bytes(content[entry : entry + 2], "little") == _EXTRA_SAMPLES:
            content[entry + 8 : entry + 10] = (1).to_bytes(2, "little")
            return bytes(content)
    raise UnsupportedOutput("the TIFF encoder wrote no description of alpha")
