"""The runtime onnxruntime: ONNX files, on CUDA where its package has it, else on the CPU in float32.

Knows nothing about any network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from stream.errors import EngineError
from stream.settings import Settings
from workers.runtimes.base import Array, Precision

CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"


class OnnxRuntime:
    """See `base.Runtime`. Computes in the precision of the file: `precision` changes nothing."""

    def load(self, graph: Path | bytes, precision: Precision, settings: Settings) -> "SessionNetwork":
        return SessionNetwork(open_session(graph if isinstance(graph, bytes) else str(graph), settings))


class SessionNetwork:
    """See `base.Network`."""

    def __init__(self, session: Any) -> None:
        self.inputs = tuple(value.name for value in session.get_inputs())
        self.outputs = tuple(value.name for value in session.get_outputs())
        self._session = session

    def __call__(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        try:
            results: list[Array] = self._session.run(list(outputs), dict(feeds))
        except Exception as exc:  # onnxruntime's errors have no common base class
            raise EngineError(reason(exc)) from exc
        return results

    def close(self) -> None:
        self._session = None


def has_cuda() -> bool:
    """Whether the installed onnxruntime supports CUDA."""
    return _CUDA in onnxruntime.get_available_providers()


def open_session(model: str | bytes, settings: Settings) -> Any:
    """A session on CUDA where available, else on the CPU. model: a path, or a serialised model.

    Raises what onnxruntime raises; its errors have no common base class.
    """
    providers = [_CUDA, CPU] if has_cuda() else [CPU]
    return onnxruntime.InferenceSession(model, _options(settings), providers=providers)


def reason(exc: Exception) -> str:
    """The first line of an error of onnxruntime, without its prefix `[ONNXRuntimeError] : 1 : FAIL : `."""
    line = (str(exc).splitlines() or [type(exc).__name__])[0]
    return line.split(" : ", 3)[-1]


def _options(settings: Settings) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning threads would occupy cores
    options.log_severity_level = 4  # nothing: errors are raised, and warnings about the graph do not help users
    return options
