"""The engines by name, imported on use. A new one is a file here and a line in `ENGINES`."""

import ctypes
import importlib.util
import sys
from collections.abc import Callable

from stream.errors import UsageError
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from workers.edges import foreground
from workers.engines.base import Engine
from workers.engines.estimated import Estimated
from workers.weights.known import Say, silent

ENGINES = {
    "birefnet": "workers.engines.birefnet:Birefnet",
    "rvm": "workers.engines.rvm:Rvm",
    "selfie": "workers.engines.selfie:Selfie",
    "chroma": "workers.engines.chroma:Chroma",
}


def load(name: str, options: Options, settings: Settings, say: Say = silent) -> Engine:
    """Build an engine, its weights fetched if need be and their licence said. Raises UsageError, WeightsError."""
    check_known(name)
    try:
        engine: Engine = find(ENGINES[name])(options, settings, say)
    except ModuleNotFoundError as exc:
        raise UsageError(f"engine: {name} needs {exc.name}; install it with: pip install 'mattebox[{name}]'") from None
    if name == "birefnet":  # it estimates colours itself, on its device
        return engine
    return Estimated(engine) if foreground.should_estimate(options, soft=False) else engine


def cuda() -> bool:
    """Would torch compute on a GPU here? It is loaded only where it is installed and there is a driver."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "safetensors", "huggingface_hub")):
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return bool(torch.cuda.is_available())


def choose(options: Options, live: bool, settings: Settings, has_cuda: Callable[[], bool] = cuda) -> tuple[str, str]:
    """The engine's name and, in words, why it was taken. Raises UsageError for a name that is none, and for what that
    engine would not use."""
    if options.engine != "auto":
        check_known(options.engine)
    if fault := options.misplaced():
        raise UsageError(": ".join(fault))
    if options.engine != "auto":
        return options.engine, "asked for"
    if options.key is not None:
        return "chroma", "a screen's colour was given"
    return _automatic(live, settings, has_cuda())


def check_known(name: str) -> None:
    """Raises UsageError for a name that is none."""
    if name not in ENGINES:
        raise UsageError(f"engine: {name!r} is unknown; one of: auto, {', '.join(ENGINES)}")


def _automatic(live: bool, settings: Settings, has_cuda: bool) -> tuple[str, str]:
    name, reason = ("selfie", "fastest on a CPU, for live video") if live else ("rvm", "best matte on a CPU, for files")
    if not has_cuda:
        return name, reason
    from workers.weights import hub

    if settings.offline and hub.find_local(settings.birefnet, settings) is None:
        fetch = f"mattebox models pull birefnet:{settings.birefnet}"
        return name, f"{reason}; birefnet's weights are not at hand for this GPU: {fetch}"
    return "birefnet", "best matte, and a GPU to run it"
