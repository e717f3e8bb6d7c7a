"""Small real engines with one fault each. In their matte the upper half is subject, the lower half background."""

import threading
import time
from collections.abc import Sequence

import numpy as np

from stream.errors import EngineError
from stream.picture.frames import Frame
from stream.records.engines import EngineRecord
from stream.records.options import Options
from stream.settings import Settings
from workers.engines.base import Engine, EngineState, Result
from workers.weights.known import Say


class Upper(Engine):
    name, device = "upper", "test"

    def __init__(self, options: Options, settings: Settings, say: Say) -> None:
        """Loads nothing."""

    def prepare(self, frame: Frame) -> None:
        return None

    def infer(self, prepared: Sequence[None], states: Sequence[EngineState]) -> list[Result]:
        alpha = np.zeros((16, 16), np.float32)
        alpha[:8] = 1.0
        return [Result(alpha) for _ in prepared]


class Slow(Upper):
    """Takes 150 ms per frame."""

    name = "slow"

    def infer(self, prepared: Sequence[None], states: Sequence[EngineState]) -> list[Result]:
        time.sleep(0.15 * len(prepared))
        return super().infer(prepared, states)


class Heavy(Upper):
    """Takes a second to load."""

    name = "heavy"

    def __init__(self, options: Options, settings: Settings, say: Say) -> None:
        time.sleep(1.0)


class Choosy(Upper):
    """With foreground estimation it takes a second to load and finds no subject."""

    name = "choosy"

    def __init__(self, options: Options, settings: Settings, say: Say) -> None:
        self._blind = options.foreground == "estimate"
        time.sleep(1.0 if self._blind else 0.0)

    def infer(self, prepared: Sequence[None], states: Sequence[EngineState]) -> list[Result]:
        results = super().infer(prepared, states)
        return [Result(np.zeros_like(result.alpha)) for result in results] if self._blind else results


class Broken(Upper):
    """Raises while `broken` is set, and not one of Mattebox's own errors."""

    name = "broken"
    broken = threading.Event()

    def infer(self, prepared: Sequence[None], states: Sequence[EngineState]) -> list[Result]:
        if self.broken.is_set():
            raise ZeroDivisionError("a bug in a model")
        return super().infer(prepared, states)


class Unloadable(Upper):
    name = "unloadable"

    def __init__(self, options: Options, settings: Settings, say: Say) -> None:
        raise EngineError("its file is damaged")


RECORDS = {
    kind.name: EngineRecord(kind.name, f"{__name__}:{kind.__name__}", kind.name, "For tests.", steady=True)
    for kind in (Upper, Slow, Heavy, Choosy, Broken, Unloadable)
}
