"""Generated still pictures: a subject of known colours before a green screen, with EXIF data and ICC profiles."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps
from PIL.ExifTags import IFD, Base

from tests.media import Image as Pixels

SCREEN = (0, 200, 60)
SKIN, CLOTH = (200, 140, 120), (150, 40, 60)
# Colorants of the primaries, adapted to D50: X, Y, Z of red, green and blue.
_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
_ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def person(width: int = 61, height: int = 45) -> Pixels:
    """RGB (H, W, 3): SKIN in the upper half and CLOTH in the lower half of a subject that is left of the centre."""
    pixels = np.full((height, width, 3), SCREEN, np.uint8)
    columns = slice(width // 6, width // 2)
    pixels[height // 4 : height // 2, columns] = SKIN
    pixels[height // 2 : height - height // 6, columns] = CLOTH
    return pixels


def points(width: int = 61, height: int = 45) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """(row, column) of a pixel inside the skin, inside the cloth, and on the screen."""
    return (height * 3 // 8, width // 3), (height * 2 // 3, width // 3), (height // 2, width * 3 // 4)


def wide_gamut(adobe: bool = False) -> bytes:
    """The ICC profile of Display P3 or, with sRGB's curve, of Adobe RGB: sRGB's with other colorants."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    colorants = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), _ADOBE if adobe else _P3, strict=True))
    (count,) = struct.unpack_from(">I", profile, 128)
    for n in range(count):
        tag, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * n)
        if tag in colorants:
            struct.pack_into(">3i", profile, offset + 8, *(round(v * 65_536) for v in colorants[tag]))
    return bytes(profile)


def exif(orientation: int = 1) -> Image.Exif:
    """EXIF data with a camera, an exposure, a place, and the sides as stored."""
    data = Image.Exif()
    data[Base.Make], data[Base.Orientation] = "Maker", orientation
    data[IFD.Exif] = {Base.DateTimeOriginal: "2024:05:06 07:08:09", Base.ExifImageWidth: 1, Base.ExifImageHeight: 2}
    data[IFD.GPSInfo] = {1: "N", 2: (48.0, 51.0, 30.0)}
    return data


def stored(pixels: Pixels, orientation: int) -> Pixels:
    """The pixels as a camera stores them that must be turned by this EXIF orientation to be `pixels`."""
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    image = Image.fromarray(pixels)
    image.getexif()[Base.Orientation] = inverse
    return np.asarray(ImageOps.exif_transpose(image), np.uint8)


def save(path: Path, pixels: Pixels, mode: str | None = None, **options: Any) -> Path:
    """Write a picture file. mode: Pillow's mode to convert to."""
    image = Image.fromarray(pixels)
    if "exif" in options:
        options["exif"] = options["exif"].tobytes()
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def load(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image, np.uint8)


def in_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """RGB in the space of a profile as sRGB, by LittleCMS."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    image = ImageCms.profileToProfile(Image.fromarray(pixels), own, ImageCms.createProfile("sRGB"))
    return np.asarray(image, np.uint8)
