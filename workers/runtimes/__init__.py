"""Runtimes: libraries that run a network from a file. One file each; `RUNTIMES` is the only list of them.

The same network gives nearly the same results in each of them, at different speeds. Which one is used is a `Choice`
(`choice.py`): the network's own, until another one has been measured to be faster and as accurate on this machine.
"""

import importlib.util
from pathlib import Path

from stream.registry import find
from stream.settings import Settings
from workers.runtimes.base import Array, Choice, Network, Precision, Runtime
from workers.runtimes.fallback import WithFallback

__all__ = ["RUNTIMES", "Array", "Choice", "Network", "Precision", "installed", "label", "load", "load_safely"]

RUNTIMES = {
    "onnxruntime": "workers.runtimes.onnxruntime:OnnxRuntime",
    "openvino": "workers.runtimes.openvino:OpenVino",
    "opencv": "workers.runtimes.opencv:OpenCv",
}
"""By the names that users see, as "module:Class"."""


def installed(name: str) -> bool:
    """Whether a runtime's package is installed. Does not import it."""
    return importlib.util.find_spec("cv2" if name == "opencv" else name) is not None


def load(graph: Path | bytes, choice: Choice, settings: Settings) -> Network:
    """A network in the chosen runtime. Raises what the runtime raises, and ModuleNotFoundError if it is missing."""
    runtime: Runtime = find(RUNTIMES[choice.runtime])()
    return runtime.load(graph, choice.precision, settings)


def load_safely(graph: Path | bytes, choice: Choice, own: Choice, settings: Settings) -> Network:
    """As `load`. If the chosen runtime fails, when it loads or later, the network's own one takes over."""
    if choice == own:
        return load(graph, own, settings)
    return WithFallback(lambda: load(graph, choice, settings), lambda: load(graph, own, settings), choice.runtime)


def label(choice: Choice, own: Choice) -> str:
    """The device of an engine on the CPU, to be displayed: what is not usual about its runtime is named."""
    return "cpu" if choice == own else f"cpu ({choice})"
