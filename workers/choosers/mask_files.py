"""Masks that a user drew: pictures, read as regions."""

from pathlib import Path

import numpy as np
from PIL import Image

from stream.errors import UsageError
from stream.picture.frames import Alpha

_FORMATS = ("PNG", "TIFF", "WEBP", "BMP", "JPEG")
_MAX_PIXELS = 36_000_000


def read_mask(path: str) -> Alpha:
    """float32 (h, w), 0.0 to 1.0: a picture's alpha channel or, if it has none, its brightness. Raises UsageError."""
    if not Path(path).is_file():
        raise UsageError(f"mask: {path} {'is a folder' if Path(path).is_dir() else 'does not exist'}")
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise UsageError(f"mask: {path} has {image.width}x{image.height} pixels, more than {_MAX_PIXELS}")
            return _region(image)
    except (OSError, ValueError, SyntaxError) as exc:  # what Pillow raises for damaged files
        raise UsageError(f"mask: {path} is not a readable picture ({', '.join(_FORMATS)})") from exc


def _region(image: Image.Image) -> Alpha:
    if image.mode.startswith("I;16"):  # which Pillow clips when it converts
        return np.asarray(image, np.float32) / np.float32(65_535)
    bands = image.getbands()
    channel = image.getchannel("A") if "A" in bands else image.convert("L")
    return np.asarray(channel, np.float32) / np.float32(255)
