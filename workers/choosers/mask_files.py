"""Masks that a user drew: pictures, read as regions."""

from pathlib import Path

import numpy as np
from PIL import Image

from stream.errors import DiskError, UsageError
from stream.picture.frames import Alpha
from stream.settings import Settings
from stream.storage.local_copies import SCHEME, nearby

_FORMATS = ("PNG", "TIFF", "WEBP", "BMP", "JPEG")


def read_mask(text: str, settings: Settings) -> Alpha:
    """float32 (h, w), 0.0 to 1.0: a picture's alpha channel or, if it has none, its brightness. text: of the prompt, a
    path or a storage key. Raises UsageError."""
    path = _local(text, settings)
    if not path.is_file():
        raise UsageError(f"mask: {text} {'is a folder' if path.is_dir() else 'does not exist'}")
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > settings.max_pixels:
                raise UsageError(f"mask: {text} is {image.width}x{image.height}, over {settings.max_pixels:,} pixels")
            return _region(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:  # of damaged files
        raise UsageError(f"mask: {text} is not a readable picture ({', '.join(_FORMATS)})") from exc


def _local(text: str, settings: Settings) -> Path:
    if not text.startswith(SCHEME):
        return Path(text)
    try:
        return nearby(text.removeprefix(SCHEME), settings)
    except (FileNotFoundError, ValueError, DiskError) as exc:
        raise UsageError(f"mask: {text} cannot be fetched: {exc}") from None


def _region(image: Image.Image) -> Alpha:
    if image.mode.startswith("I;16"):  # which Pillow clips when it converts
        return np.asarray(image, np.float32) / np.float32(65_535)
    bands = image.getbands()
    channel = image.getchannel("A") if "A" in bands else image.convert("L")
    return np.asarray(channel, np.float32) / np.float32(255)
