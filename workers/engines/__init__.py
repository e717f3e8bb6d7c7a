"""Selects and loads engines by name.

To add an engine, see `base.py` for its class and `stream/records/engines.py` for its record; nothing here changes.
"""

import ctypes
import importlib.util
import sys
from collections.abc import Callable, Iterator

from stream.errors import UsageError
from stream.install import install_command
from stream.records.engines import AUTO, ENGINES, EngineRecord, Rank, implied_by, names
from stream.records.options import Edges, Options, Refine
from stream.registry import find
from stream.settings import Settings
from stream.suggestions import nearest
from workers.edges import foreground
from workers.engines.base import Engine
from workers.engines.with_foreground import WithForeground
from workers.weights.known import Say, catalogue, silent

_VITMATTE = ("torch", "safetensors", "transformers")  # modules that it needs


def load(name: str, options: Options, settings: Settings, say: Say = silent) -> Engine:
    """Create an engine; downloads its weights if necessary. say: called with messages for the user, such as the licence
    of the weights.

    Raises UsageError, WeightsError.
    """
    check_known(name)
    record = ENGINES[name]
    try:
        engine: Engine = find(record.place)(_for_engine(options), settings, say)
    except ModuleNotFoundError as exc:
        package = f"mattebox[{record.extra}]" if record.extra else str(exc.name)
        raise UsageError(f"engine: {name} needs {exc.name}; install it: {install_command(package)}") from None
    if options.edges.refine is Refine.VITMATTE:
        return _with_vitmatte(engine, options, settings, say)
    return WithForeground(engine) if not record.colours and foreground.should_estimate(options, soft=False) else engine


def read_options(options: Options) -> Options:
    """Only the options that affect how an engine is loaded. Videos for which they are equal can share it."""
    refine = options.edges.refine
    edges = Edges(refine=refine) if refine is Refine.VITMATTE else Edges()
    return Options(key=options.key, foreground=options.foreground, roi=options.roi, edges=edges)


def cuda() -> bool:
    """Whether torch can use a GPU. torch is imported only if it is installed and an NVIDIA driver is found."""
    if not _importable("torch"):
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return bool(torch.cuda.is_available())


def choose(options: Options, live: bool, settings: Settings, has_cuda: Callable[[], bool] = cuda) -> tuple[str, str]:
    """The name of the engine to use, and the reason as text.

    Raises UsageError for an unknown engine, and for options that the engine does not support.
    """
    if options.engine != AUTO:
        check_known(options.engine)
    if fault := options.misplaced():
        raise UsageError(": ".join(fault))
    _check_refinement(options, live)
    if options.engine != AUTO:
        return options.engine, "requested"
    for option in options.special():
        if record := implied_by(option):
            return record.name, record.implied_by[option]
    return _automatic(live, settings, has_cuda)


def check_known(name: str) -> None:
    """Raise UsageError for an unknown engine."""
    if name not in ENGINES:
        hint = f"{', '.join(names())}{nearest(name, names())}"
        raise UsageError(f"engine: unknown engine {name!r}; use one of: {hint}")


def _for_engine(options: Options) -> Options:
    """The options for the engine's class. With ViTMatte, the subject's colours are estimated from the refined alpha."""
    return options.model_copy(update={"foreground": "keep"}) if options.edges.refine is Refine.VITMATTE else options


def _with_vitmatte(engine: Engine, options: Options, settings: Settings, say: Say) -> Engine:
    from workers.engines.with_vitmatte import with_vitmatte  # imports torch and transformers

    return with_vitmatte(engine, options, settings, say)


def _check_refinement(options: Options, live: bool) -> None:
    """Raise UsageError if the edges cannot be refined as requested."""
    if options.edges.refine is not Refine.VITMATTE:
        return
    if live:
        raise UsageError("edges.refine: vitmatte is too slow for live video; use on")
    if missing := [module for module in _VITMATTE if not _importable(module)]:
        command = install_command("mattebox[subjects]")
        raise UsageError(f"edges.refine: vitmatte needs {', '.join(missing)}; install it: {command}")


def _automatic(live: bool, settings: Settings, has_cuda: Callable[[], bool]) -> tuple[str, str]:
    """The engine of the highest rank that can run. The reason names engines that lack only their weights."""
    missing: list[str] = []
    for record, rank in _ranked(live):
        if not all(map(_importable, record.modules)) or (rank.cuda and not has_cuda()):
            continue
        if command := _missing_weights(record, settings):
            where = " for this GPU" if rank.cuda else ""
            missing.append(f"the weights of {record.name}{where} are missing; download them with: {command}")
            continue
        return record.name, "; ".join([rank.reason, *missing])
    raise UsageError(f"engine: none is available here; {'; '.join(missing) or 'see: mattebox doctor'}")


def _ranked(live: bool) -> Iterator[tuple[EngineRecord, Rank]]:
    """The candidates of `auto`, the best first."""
    ranks = [(record, record.live if live else record.files) for record in ENGINES.values()]
    known = [(record, rank) for record, rank in ranks if rank is not None]
    yield from sorted(known, key=lambda pair: pair[1].order, reverse=True)


def _missing_weights(record: EngineRecord, settings: Settings) -> str:
    """The command that downloads the selected weights, if MATTEBOX_OFFLINE is set and the weights are not on this
    machine; else ""."""
    if not record.catalogue or not settings.offline:
        return ""
    chosen = getattr(settings, record.name)
    at_hand = catalogue(record.name).find_local(chosen, settings)
    return "" if at_hand is not None else f"mattebox models pull {record.name}:{chosen}"


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
