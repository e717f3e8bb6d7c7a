"""MediaPipe's selfie segmentation, landscape model: people near the camera, in a few milliseconds on any CPU.

It takes the picture resized to 256x144 and has no memory, so its edges are soft and flicker unless smoothed over time.
"""

from collections.abc import Sequence

import numpy as np

from stream.errors import EngineError
from stream.picture.frames import Alpha, Frame
from stream.records.options import Options
from stream.settings import Settings
from workers.device.tensors import Tensor, rgb_small
from workers.engines.base import Engine, EngineState, Result
from workers.runtimes import Choice, load
from workers.weights.known import Say, ensure, silent

_WIDTH, _HEIGHT = 256, 144


class Selfie(Engine):
    """Raises WeightsError on creation."""

    name = "selfie"
    batch = 1  # measured: a batch of four takes as long as four calls, with the same results

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        path = ensure(self.name, settings, say)
        self._network = load(path, Choice("opencv"), settings)  # OpenVINO has no Convolution2DTransposeBias

    def prepare(self, frame: Frame) -> Tensor:
        """float32 (1, 3, 144, 256)."""
        return rgb_small(frame, _WIDTH, _HEIGHT)[None]

    def infer(self, prepared: Sequence[Tensor], states: Sequence[EngineState]) -> list[Result]:
        return [Result(self._alpha(picture)) for picture in prepared]

    def _alpha(self, picture: Tensor) -> Alpha:
        """Alpha, (144, 256), of a picture (1, 3, 144, 256). Raises EngineError."""
        try:
            (alpha,) = self._network({self._network.inputs[0]: picture}, self._network.outputs[:1])
        except EngineError as exc:
            raise EngineError(f"selfie: {exc}") from exc
        return np.asarray(alpha[0, 0].clip(0.0, 1.0), np.float32)
