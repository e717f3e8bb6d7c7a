"""A picture as a source of one frame: JPEG, PNG, WebP, TIFF, BMP, AVIF, still GIF; HEIC with the extra `heif`.

The frame is what engines see: I420, converted to sRGB. The picture itself travels in `Frame.photo`.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base

from stream.address import Address
from stream.errors import TooLarge, UnreadableMedia
from stream.picture.colour import rgb_to_i420
from stream.picture.exif import upright_exif
from stream.picture.frames import Frame, Plane, VideoInfo, split_i420
from stream.picture.icc import Space, srgb_profile
from stream.picture.ingest import fit
from stream.picture.orientation import Orientation
from stream.picture.photo import Photo, bands
from stream.pump import Warnings
from stream.records.metadata import Metadata
from stream.settings import Settings
from stream.sources.base import SourceOptions
from stream.sources.signatures import AVIF

_CLOCK = Fraction(1, 25)
_LARGEST_DPI = 65_535  # in a JPEG
# Formats that Pillow decodes itself. MPO: a JPEG with further pictures, such as phones write. HEIF: see `_plug_in`.
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")


class PictureSource:
    """The picture at `path`, as a single frame at time 0.

    size: (width, height) to scale to, in pixels; one of them 0 keeps the aspect ratio, both 0 keep the size.
    metadata: what is kept of the EXIF data.
    Raises UnreadableMedia, TooLarge; before any pixel is decoded for a picture over the limit.
    """

    live = False
    takes = frozenset({"size"})

    @classmethod
    def from_address(cls, address: Address, options: SourceOptions, settings: Settings) -> Self:
        return cls(address.path, settings, options.size, options.metadata)

    def __init__(
        self,
        path: Path,
        settings: Settings,
        size: tuple[int, int] = (0, 0),
        metadata: Metadata = Metadata.KEEP,
    ) -> None:
        self.warnings: Warnings = []
        decoded = _read(path, settings, size, metadata, self.warnings)
        self._decoded: _Decoded | None = decoded
        photo = decoded.photo
        width, height = photo.width + photo.width % 2, photo.height + photo.height % 2
        self.info = VideoInfo(
            width,
            height,
            _CLOCK,
            1 / _CLOCK,
            frames=1,
            has_alpha=decoded.alpha is not None,
            still=(photo.width, photo.height),
        )

    def __iter__(self) -> Iterator[Frame]:
        decoded, self._decoded = self._decoded, None  # a large picture is not kept longer than needed
        if decoded is None:
            return
        size = (self.info.width, self.info.height)
        alpha = None if decoded.alpha is None else _evened(decoded.alpha, size)
        yield Frame(_i420(decoded, size), 0, _CLOCK, alpha, photo=decoded.photo)

    def close(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True)
class _Decoded:
    """photo: the picture. alpha: uint8 (H, W), or None. space: of the photo's pixels."""

    photo: Photo
    alpha: Plane | None
    space: Space


def _read(path: Path, settings: Settings, size: tuple[int, int], metadata: Metadata, notes: Warnings) -> _Decoded:
    with _opened(path, settings) as image:
        if image.format != "MPO" and getattr(image, "is_animated", False):
            notes.append(("first_picture", f"{path.name} has several pictures; the first one was used"))
        if image.mode in _DEEP or image.info.get("bitdepth", 8) > 8:
            notes.append(("reduced_depth", "16 bits per channel were reduced to 8"))
        image.load()
        # Only now: some formats have their metadata after the pixels, and some decoders turn the picture themselves.
        profile, orientation = image.info.get("icc_profile") or b"", image.getexif().get(Base.Orientation)
        pixels, alpha = _channels(image)
        dpi = _dots_per_inch(image.info.get("dpi"))
        pixels, space, profile = _in_rgb(pixels, profile, notes)
        turn = Orientation.of_exif(orientation)
        pixels = np.ascontiguousarray(turn.upright(pixels))
        alpha = None if alpha is None else np.ascontiguousarray(turn.upright(alpha))
        pixels, alpha = _scaled(pixels, alpha, size, settings)
        sides = pixels.shape[1], pixels.shape[0]
        drop, location = metadata is Metadata.DROP, metadata is Metadata.KEEP
        exif = b"" if drop else upright_exif(image, *sides, location=location)
    return _Decoded(Photo(pixels, profile, exif, dpi), alpha, space)


@contextmanager
def _opened(path: Path, settings: Settings) -> Iterator[Image.Image]:
    """The opened picture, of which only the header is read yet. Any error, now or in the block, is an InputError."""
    _plug_in(path)
    limit = settings.max_picture_pixels
    limit_text = f"the limit is {limit:,} pixels (MATTEBOX_MAX_PICTURE_PIXELS)"
    try:
        Image.init()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, whose limit is ours, and of odd metadata
            with Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
                if image.width * image.height > limit:
                    raise TooLarge(f"the picture is {image.width}x{image.height}; {limit_text}")
                yield image
    except (TooLarge, UnreadableMedia):
        raise
    except Image.DecompressionBombError:
        raise TooLarge(f"the picture is over the limit: {limit_text}") from None
    except UnidentifiedImageError:
        raise UnreadableMedia(f"{path} is a picture that is damaged or of an unknown kind") from None
    except PermissionError:
        raise UnreadableMedia(f"{path} cannot be read: permission denied") from None
    except MemoryError:
        raise TooLarge(f"there is not enough memory for this picture; {limit_text}") from None
    except Exception:  # noqa: BLE001 - Pillow's decoders raise nearly anything on damaged files
        raise UnreadableMedia(f"{path} is a damaged picture: it is incomplete, or cannot be decoded") from None


def _dots_per_inch(found: Any) -> tuple[float, float] | None:
    """The resolution if every format can store it, else None: files contain any numbers, 0/0 among them."""
    try:
        x, y = float(found[0]), float(found[1])
    except (TypeError, ValueError, ArithmeticError, IndexError):  # none, or no numbers
        return None
    return (x, y) if all(1 <= value <= _LARGEST_DPI for value in (x, y)) else None


def _plug_in(path: Path) -> None:
    """Register Pillow's reader of HEIC, if this is one. Raises UnreadableMedia where it is not installed."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] != b"ftyp" or head[8:12] in AVIF:
        return
    try:
        import pi_heif
    except ModuleNotFoundError:
        raise UnreadableMedia(f"{path} is a HEIC picture, which needs pi-heif: pip install 'mattebox[heif]'") from None
    pi_heif.register_heif_opener(thumbnails=False)


def _channels(image: Image.Image) -> tuple[Plane, Plane | None]:
    """uint8 RGB or CMYK (H, W, C) or grey (H, W), and alpha (H, W) or None. Raises UnreadableMedia."""
    if image.mode in _DEEP:
        return (np.asarray(image).astype(np.int64).clip(0, 65_535) >> 8).astype(np.uint8), None
    if image.mode == "F":
        raise UnreadableMedia("pictures with floating-point values are not supported")
    if image.mode == "CMYK":
        return np.asarray(image, np.uint8), None
    if image.mode == "LA" or image.has_transparency_data:
        rgba = np.asarray(image.convert("LA" if image.mode == "LA" else "RGBA"), np.uint8)
        colour = rgba[..., 0] if image.mode == "LA" else rgba[..., :3]
        return np.ascontiguousarray(colour), np.ascontiguousarray(rgba[..., -1])
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"), np.uint8), None


def _in_rgb(pixels: Plane, profile: bytes, notes: Warnings) -> tuple[Plane, Space, bytes]:
    """RGB (H, W, 3), its colour space and profile: the source's own, or sRGB where results cannot be in that one."""
    mode = "L" if pixels.ndim == 2 else "CMYK" if pixels.shape[2] == 4 else "RGB"
    space = Space(b"")
    try:
        space = Space(profile)
    except ValueError as exc:
        notes.append(("no_profile", f"{exc}; the colours are taken as sRGB"))
        profile = b""
    if space.mode != mode:  # a profile of other channels, or none
        if space.mode != "RGB" or (profile and mode != "L"):
            notes.append(("no_profile", "the ICC profile is for other channels; the colours are taken as sRGB"))
            profile = b""
        if mode == "CMYK":
            profile = srgb_profile()
        space, pixels = Space(profile), np.asarray(Image.fromarray(pixels, mode).convert("RGB"), np.uint8)
    if space.mode == "RGB" and space.invertible:
        return pixels, space, profile
    return space.to_srgb(pixels), Space(b""), srgb_profile()


def _scaled(
    pixels: Plane, alpha: Plane | None, size: tuple[int, int], settings: Settings
) -> tuple[Plane, Plane | None]:
    before = (pixels.shape[1], pixels.shape[0])
    after = fit(before, *size)
    if after == before:
        return pixels, alpha
    if after[0] * after[1] > settings.max_picture_pixels:
        limit = f"{settings.max_picture_pixels:,} pixels (MATTEBOX_MAX_PICTURE_PIXELS)"
        raise TooLarge(f"the picture would be {after[0]}x{after[1]}; the limit is {limit}")

    def scale(plane: Plane) -> Plane:
        return np.asarray(Image.fromarray(plane).resize(after, Image.Resampling.LANCZOS), np.uint8)

    return scale(pixels), None if alpha is None else scale(alpha)


def _evened(pixels: Plane, size: tuple[int, int]) -> Plane:
    """With the last row and column repeated where `size`, (width, height), is one larger."""
    more = [(0, size[1] - pixels.shape[0]), (0, size[0] - pixels.shape[1]), (0, 0)]
    return np.pad(pixels, more[: pixels.ndim], "edge") if any(n for _, n in more) else pixels


def _i420(decoded: _Decoded, size: tuple[int, int]) -> Plane:
    """The picture as I420 in sRGB, band by band. size: (width, height), both even."""
    width, height = size
    out = np.empty((height * 3 // 2, width), np.uint8)
    pixels = decoded.photo.pixels
    for top, bottom in bands(width, height):
        band = _evened(decoded.space.to_srgb(pixels[top:bottom]), (width, bottom - top))
        for target, plane, step in zip(split_i420(out), split_i420(rgb_to_i420(band)), (1, 2, 2), strict=True):
            target[top // step : top // step + plane.shape[0]] = plane
    return out
