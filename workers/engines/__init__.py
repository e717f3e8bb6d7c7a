"""The engines by name, imported on use. A new one is a file here and a line in `ENGINES`."""

from stream.errors import UsageError
from stream.registry import find
from stream.session import Options
from stream.settings import Settings
from workers.engines.base import Engine
from workers.weights import Say, silent

ENGINES = {
    "birefnet": "workers.engines.birefnet:Birefnet",
    "rvm": "workers.engines.rvm:Rvm",
    "selfie": "workers.engines.selfie:Selfie",
    "chroma": "workers.engines.chroma:Chroma",
}


def load(name: str, options: Options, settings: Settings, say: Say = silent) -> Engine:
    """Build an engine, its weights fetched if need be and their licence said. Raises UsageError, WeightsError."""
    if name not in ENGINES:
        raise UsageError(f"engine: {name!r} is unknown; one of: auto, {', '.join(ENGINES)}")
    try:
        engine: Engine = find(ENGINES[name])(options, settings, say)
    except ModuleNotFoundError as exc:
        raise UsageError(f"engine: {name} needs {exc.name}; install it with: pip install 'mattebox[{name}]'") from None
    return engine


def choose(options: Options, live: bool) -> tuple[str, str]:
    """The engine's name and, in words, why it was taken. Raises UsageError for a key that no engine would use."""
    if options.key is not None and options.engine not in ("auto", "chroma"):
        raise UsageError(f"key: a screen's colour is for the engine chroma, not for {options.engine}")
    if options.engine != "auto":
        return options.engine, "asked for"
    if options.key is not None:
        return "chroma", "a screen's colour was given"
    if live:
        return "selfie", "fastest on a CPU, for live video"
    return "rvm", "best matte on a CPU, for files"
