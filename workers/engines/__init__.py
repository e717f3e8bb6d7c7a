"""The engines by name, imported on use. A new one is a file here and a line in `ENGINES`."""

from collections.abc import Callable

from stream.errors import UsageError
from stream.registry import find
from stream.session import Options
from stream.settings import Settings
from workers.engines.base import Engine
from workers.weights import WEIGHTS, ensure

ENGINES = {
    "rvm": "workers.engines.rvm:Rvm",
    "selfie": "workers.engines.selfie:Selfie",
    "chroma": "workers.engines.chroma:Chroma",
}


def _silent(_: str) -> None: ...


def load(name: str, options: Options, settings: Settings, say: Callable[[str], None] = _silent) -> Engine:
    """Build an engine, its weights fetched if need be and their licence said. Raises UsageError, WeightsError."""
    if name not in ENGINES:
        raise UsageError(f"engine: {name!r} is unknown; one of: auto, {', '.join(ENGINES)}")
    if name in WEIGHTS:
        ensure(name, settings, say)
    engine: Engine = find(ENGINES[name])(options, settings)
    return engine


def choose(options: Options, live: bool) -> tuple[str, str]:
    """The engine's name and, in words, why it was taken."""
    if options.engine != "auto":
        return options.engine, "asked for"
    if live:
        return "selfie", "fastest on a CPU, for live video"
    return "rvm", "best matte on a CPU, for files"
