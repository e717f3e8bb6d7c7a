"""Selects and loads engines by name.

To add an engine, see `base.py` for its class and `stream/records/engines.py` for its record; nothing here changes.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from stream.errors import UsageError
from stream.install import needs
from stream.records.engines import AUTO, ENGINES, implied_by, names
from stream.records.options import Edges, Options, Refine
from stream.registry import find
from stream.settings import Settings
from stream.suggestions import nearest
from workers import choosers
from workers.choosers.base import Chooser
from workers.device.automatic import cuda, importable, lacks, select
from workers.edges import foreground
from workers.engines.base import Engine
from workers.engines.with_foreground import WithForeground
from workers.engines.with_subjects import WithSubjects
from workers.weights.known import Say, silent

if TYPE_CHECKING:
    from workers.choosers.faces import Faces

_VITMATTE = ("torch", "safetensors", "transformers")  # modules that it needs


def load(name: str, options: Options, settings: Settings, say: Say = silent, live: bool = False) -> Engine:
    """Create an engine, with a chooser if the options have subjects; downloads their weights if necessary. say: called
    with messages for the user, such as the licence of the weights. live: for the choice of the chooser.

    Raises UsageError, WeightsError, and InputError for a mask that cannot be used.
    """
    check_known(name)
    chooser = _load_chooser(options, settings, say, live)
    record = ENGINES[name]
    try:
        engine: Engine = find(record.place)(_for_engine(options), settings, say)
    except ModuleNotFoundError as exc:
        raise UsageError(f"engine: {lacks(record, str(exc.name))}") from None
    if chooser is not None:
        engine = WithSubjects(engine, chooser)
    engine = keep_face_parts(engine, options, settings, say) if options.keep else engine
    if options.edges.refine is Refine.VITMATTE:
        return _with_vitmatte(engine, options, settings, say)
    return WithForeground(engine) if not record.colours and foreground.should_estimate(options, soft=False) else engine


def _load_chooser(options: Options, settings: Settings, say: Say, live: bool) -> Chooser | None:
    name, reason = choosers.choose(options, live, settings)
    if not name:
        return None
    chooser = choosers.load(name, options, settings, say)
    say(f"chooser {name} on {chooser.device}: {reason}")
    return chooser


def read_options(options: Options) -> Options:
    """Only the options that affect how an engine is loaded. Videos for which they are equal can share it."""
    refine = options.edges.refine
    edges = Edges(refine=refine) if refine is Refine.VITMATTE else Edges()
    return Options(key=options.key, foreground=options.foreground, roi=options.roi, edges=edges)


def keep_face_parts(engine: Engine, options: Options, settings: Settings, say: Say = silent) -> Engine:
    """The engine with the network that finds what `options.keep` names. Raises UsageError, WeightsError."""
    try:
        from workers.engines.with_face_parts import WithFaceParts

        return WithFaceParts(engine, _faces(settings, say), options.keep)
    except ModuleNotFoundError as exc:
        raise UsageError(needs("keep:", str(exc.name), "mattebox[subjects]")) from None


@functools.lru_cache(maxsize=1)
def _faces(settings: Settings, say: Say) -> "Faces":
    """One network for all engines of a process: live videos with different parts to keep share it."""
    from workers.choosers.faces import Faces

    return Faces(settings, say)


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
    if missing := [module for module in _VITMATTE if not importable(module)]:
        raise UsageError(needs("edges.refine: vitmatte", ", ".join(missing), "mattebox[subjects]"))


def _automatic(live: bool, settings: Settings, has_cuda: Callable[[], bool]) -> tuple[str, str]:
    """The engine of the highest rank that can run. The reason names engines that lack only their weights."""
    record, reason, lacking = select(ENGINES.values(), live, settings, has_cuda)
    if record is None:
        raise UsageError(f"engine: none is available here; {'; '.join(lacking.weights) or 'see: mattebox doctor'}")
    return record.name, reason
