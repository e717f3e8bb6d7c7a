"""Selects and loads engines by name.

To add an engine, see `base.py` for its class and `stream/records/engines.py` for its record; nothing here changes.
"""

from collections.abc import Callable

from stream.errors import UsageError
from stream.records.engines import AUTO, ENGINES, implied_by, names
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from stream.suggestions import nearest
from workers import choosers
from workers.choosers.base import Chooser
from workers.device.automatic import cuda, needs, select
from workers.edges import foreground
from workers.engines.base import Engine
from workers.engines.with_foreground import WithForeground
from workers.engines.with_subjects import WithSubjects
from workers.weights.known import Say, silent


def load(name: str, options: Options, settings: Settings, say: Say = silent, live: bool = False) -> Engine:
    """Create an engine, with a chooser if the options have subjects; downloads their weights if necessary. say: called
    with messages for the user, such as the licence of the weights. live: for the choice of the chooser.

    Raises UsageError, WeightsError, and InputError for a mask that cannot be used.
    """
    check_known(name)
    chooser = _load_chooser(options, settings, say, live)
    record = ENGINES[name]
    try:
        engine: Engine = find(record.place)(options, settings, say)
    except ModuleNotFoundError as exc:
        raise UsageError(f"engine: {needs(record, str(exc.name))}") from None
    if chooser is not None:
        engine = WithSubjects(engine, chooser)
    return WithForeground(engine) if not record.colours and foreground.should_estimate(options, soft=False) else engine


def _load_chooser(options: Options, settings: Settings, say: Say, live: bool) -> Chooser | None:
    name, reason = choosers.choose(options, live, settings)
    if not name:
        return None
    chooser = choosers.load(name, options, settings, say)
    say(f"chooser {name} on {chooser.device}: {reason}")
    return chooser


def choose(options: Options, live: bool, settings: Settings, has_cuda: Callable[[], bool] = cuda) -> tuple[str, str]:
    """The name of the engine to use, and the reason as text.

    Raises UsageError for an unknown engine, and for options that the engine does not support.
    """
    if options.engine != AUTO:
        check_known(options.engine)
    if fault := options.misplaced():
        raise UsageError(": ".join(fault))
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


def _automatic(live: bool, settings: Settings, has_cuda: Callable[[], bool]) -> tuple[str, str]:
    """The engine of the highest rank that can run. The reason names engines that lack only their weights."""
    record, reason, lacking = select(ENGINES.values(), live, settings, has_cuda)
    if record is None:
        raise UsageError(f"engine: none is available here; {'; '.join(lacking.weights) or 'see: mattebox doctor'}")
    return record.name, reason
