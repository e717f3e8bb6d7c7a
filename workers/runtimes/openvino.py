"""The runtime OpenVINO: ONNX files on the CPU, in float32 or bfloat16. An optional package.

Knows nothing about any network.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any

import openvino

from stream.errors import EngineError
from stream.settings import Settings
from workers.runtimes.base import Array, Precision

Shapes = tuple[tuple[int, ...], ...]

_HINTS = {Precision.FLOAT32: "f32", Precision.BFLOAT16: "bf16"}


_SHAPES = 6  # for which a network stays compiled: a folder of pictures can have many


class OpenVino:
    """See `base.Runtime`."""

    def load(self, graph: Path | bytes, precision: Precision, settings: Settings) -> "ShapedNetwork":
        core = openvino.Core()
        model = core.read_model(graph if isinstance(graph, bytes) else str(graph))
        return ShapedNetwork(core, model, _config(precision, settings))


class ShapedNetwork:
    """See `base.Network`. It is compiled for the shapes of its inputs when they first occur, which takes up to a
    second: rvm took 1.3 times as long with unknown shapes, because their layers cannot be fused."""

    def __init__(self, core: Any, model: Any, config: dict[str, Any]) -> None:
        self.inputs = tuple(port.any_name for port in model.inputs)
        self.outputs = tuple(port.any_name for port in model.outputs)
        self._core, self._model, self._config = core, model, config
        self._compiled: OrderedDict[Shapes, _Requests] = OrderedDict()
        self._compiling, self._lock = threading.Lock(), threading.Lock()

    def __call__(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        try:
            return self._requests(tuple(feeds[name].shape for name in self.inputs)).run(feeds, outputs)
        except Exception as exc:  # OpenVINO raises RuntimeError, TypeError and others
            raise EngineError(_reason(exc)) from exc

    def close(self) -> None:
        with self._lock:
            self._compiled.clear()
            self._model = None

    def _requests(self, shapes: Shapes) -> "_Requests":
        """Calls with other shapes go on while a network is being compiled."""
        found = self._known(shapes)
        if found is not None:
            return found
        with self._compiling:
            found = self._known(shapes)  # compiled by another thread meanwhile
            if found is None:
                model = self._model.clone()
                model.reshape({index: list(shape) for index, shape in enumerate(shapes)})
                found = _Requests(self._core.compile_model(model, "CPU", self._config))
                self._keep(shapes, found)
            return found

    def _known(self, shapes: Shapes) -> "_Requests | None":
        with self._lock:
            if shapes in self._compiled:
                self._compiled.move_to_end(shapes)
            return self._compiled.get(shapes)

    def _keep(self, shapes: Shapes, compiled: "_Requests") -> None:
        with self._lock:
            self._compiled[shapes] = compiled
            while len(self._compiled) > _SHAPES:
                self._compiled.popitem(last=False)


class _Requests:
    """A compiled network. Each call takes a request, which belongs to no other call until it ends."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: LifoQueue[Any] = LifoQueue()

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        request.infer(dict(feeds), share_inputs=True, share_outputs=True)
        # copied: the next call with this request overwrites its outputs
        results = [request.get_tensor(name).data.copy() for name in outputs]
        self._idle.put(request)  # not after an error: the request may be in any state
        return results


def _config(precision: Precision, settings: Settings) -> dict[str, Any]:
    """One call at a time, on all cores, whose threads stay where the system puts them: other videos and other programs
    need the cores, too."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": settings.cores(),
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
    }


def _reason(exc: Exception) -> str:
    """The last line of an error of OpenVINO: those before it are places in its sources."""
    lines = [line for line in str(exc).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(exc).__name__
