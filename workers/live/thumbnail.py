"""A small picture of what a live video sends now, made only when it is asked for. It is kept in memory alone."""

import threading

import cv2
import numpy as np

from stream.picture.colour import yuv_to_rgb
from stream.picture.frames import Frame, Plane

_SIDE_PX = 320  # longer side
_QUALITY = 75  # of the JPEG


class Thumbnail:
    """The newest frame of an output, and its picture. Thread-safe."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._drawn: tuple[Frame, bytes] | None = None
        self._drawing = threading.Lock()

    def show(self, frame: Frame) -> None:
        """Keep a matted frame: what outputs get. Costs nothing else."""
        self._frame = frame

    def jpeg(self) -> bytes:
        """The newest frame as JPEG; empty before the first. Drawn once for each frame."""
        with self._drawing:
            frame = self._frame
            if frame is None:
                return b""
            if self._drawn is None or self._drawn[0] is not frame:
                self._drawn = frame, _jpeg(frame)
            return self._drawn[1]


def _jpeg(frame: Frame) -> bytes:
    scale = min(1.0, _SIDE_PX / max(frame.width, frame.height))
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    _, data = cv2.imencode(".jpg", _small(frame, size), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def _small(frame: Frame, size: tuple[int, int]) -> Plane:
    """uint8, grey (H, W) or BGR (H, W, 3)."""
    if frame.gray:
        return np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in frame.planes()]
    rgb = cv2.transform(cv2.merge(planes).astype(np.float32), yuv_to_rgb())
    return np.ascontiguousarray(np.clip(np.rint(rgb), 0, 255).astype(np.uint8)[..., ::-1])
