"""onnxruntime sessions: their device, and their threads as the settings require. Knows nothing about any network."""

from typing import Any

import onnxruntime

from stream.settings import Settings

CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"


def has_cuda() -> bool:
    """Whether the installed onnxruntime supports CUDA."""
    return _CUDA in onnxruntime.get_available_providers()


def open_session(model: str | bytes, settings: Settings) -> Any:
    """A session on CUDA where available, else on the CPU. model: a path, or a serialised model.

    Raises what onnxruntime raises; its errors have no common base class.
    """
    providers = [_CUDA, CPU] if has_cuda() else [CPU]
    return onnxruntime.InferenceSession(model, _options(settings), providers=providers)


def _options(settings: Settings) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning threads would occupy cores
    options.log_severity_level = 4  # nothing: errors are raised, and warnings about the graph do not help users
    return options
