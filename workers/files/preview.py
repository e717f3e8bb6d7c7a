"""The preview of a running job: a small image of its newest frame."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from stream.picture.frames import Frame, to_av
from workers.scene.composite import blend, checkerboard

_WIDTH_PX = 640
_QUALITY = 80


def write_jpeg(frame: Frame, path: Path) -> None:
    """The frame as a JPEG at most 640 pixels wide; transparency is shown as a checkerboard. Raises OSError."""
    if frame.alpha is not None:
        behind = checkerboard(frame.width, frame.height)
        frame = frame.with_pixels(blend(frame.pixels, behind, frame.alpha))
    rgb = np.asarray(to_av(frame, "rgb24").to_ndarray(), np.uint8)
    scale = min(1.0, _WIDTH_PX / frame.width)
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    small = rgb if scale == 1.0 else np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    Image.fromarray(small).save(path, "JPEG", quality=_QUALITY)
