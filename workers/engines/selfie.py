"""MediaPipe's selfie segmentation, landscape model: people near the camera, in a few milliseconds on any CPU.

It takes the picture resized to 256x144 and has no memory, so its edges are soft and flicker unless smoothed over time.
"""

import threading
from collections.abc import Sequence

import cv2
import numpy as np

from stream.errors import EngineError
from stream.picture.frames import Alpha, Frame
from stream.records.options import Options
from stream.settings import Settings
from workers.device.tensors import Tensor, rgb_small
from workers.engines.base import Engine, EngineState, Result
from workers.weights.known import Say, ensure, silent

_WIDTH, _HEIGHT = 256, 144


class Selfie(Engine):
    """Raises WeightsError on creation."""

    name = "selfie"
    batch = 1  # measured: a batch of four takes as long as four calls, with the same results

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        path = ensure(self.name, settings, say)
        self._net = cv2.dnn.readNet(str(path))
        self._lock = threading.Lock()  # cv2's network stores its input between setInput and forward

    def prepare(self, frame: Frame) -> Tensor:
        """float32 (1, 3, 144, 256)."""
        return rgb_small(frame, _WIDTH, _HEIGHT)[None]

    def infer(self, prepared: Sequence[Tensor], states: Sequence[EngineState]) -> list[Result]:
        return [Result(self._alpha(picture)) for picture in prepared]

    def _alpha(self, picture: Tensor) -> Alpha:
        """Alpha, (144, 256), of a picture (1, 3, 144, 256). Raises EngineError."""
        try:
            with self._lock:
                self._net.setInput(picture)
                alpha: Alpha = np.array(self._net.forward()[0, 0])  # copied: it returns its own memory
        except cv2.error as exc:
            raise EngineError(f"selfie: {exc}") from exc
        return alpha.clip(0.0, 1.0)
