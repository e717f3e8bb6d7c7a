"""Choosers find the subjects that a user's prompts describe; engines draw their edges. Selects and loads them by name.

To add a chooser, see `base.py` for its class and `stream/records/choosers.py` for its record; nothing here changes.
"""

from collections.abc import Callable
from typing import cast

from stream.errors import UsageError
from stream.records.choosers import CHOOSERS, chooser_names, listed, listing, misunderstood, understanding
from stream.records.engines import AUTO
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from stream.suggestions import nearest
from workers.choosers.base import Chooser, Lister
from workers.device.automatic import Lacking, cuda, lacks, missing_module, ranked, select
from workers.weights.known import Say, silent


def load(name: str, options: Options, settings: Settings, say: Say = silent) -> Chooser:
    """Create a chooser; downloads its weights if necessary. say: called with messages for the user, such as the licence
    of the weights.

    Raises UsageError, WeightsError.
    """
    check_known(name)
    _check_installed(name)
    chooser: Chooser = find(CHOOSERS[name].place)(options, settings, say)
    return chooser


def load_lister(name: str, settings: Settings, say: Say = silent) -> Lister:
    """As `load`. name: from `choose_listing`."""
    return cast(Lister, load(name, Options(chooser=name), settings, say))


def choose(options: Options, live: bool, settings: Settings, has_cuda: Callable[[], bool] = cuda) -> tuple[str, str]:
    """The name of the chooser for a video's subjects, and the reason as text; ("", "") for a video without subjects.

    Raises UsageError for an unknown chooser, for prompts that it does not understand, and if `auto` finds none.
    """
    if options.chooser != AUTO:
        check_known(options.chooser)
    if not options.subjects:
        return "", ""
    if fault := misunderstood(options.chooser, options.prompt_kinds):
        raise UsageError(f"subjects: {fault}")
    if options.chooser != AUTO:
        _check_installed(options.chooser)
        return options.chooser, "requested"
    return _automatic(options, live, settings, has_cuda)


def choose_listing(name: str, settings: Settings, has_cuda: Callable[[], bool] = cuda) -> tuple[str, str]:
    """The name of the chooser that lists candidates, and the reason as text. name: as the user chose it, or `auto`.

    Raises UsageError for a chooser that cannot, and if `auto` finds none.
    """
    if name == AUTO:
        record, reason, lacking = select(listing(), False, settings, has_cuda)
        if record is None:
            raise UsageError(f"chooser: none that lists candidates is available here; {'; '.join(_remedies(lacking))}")
        return record.name, reason
    check_known(name)
    if not CHOOSERS[name].lists:
        able = ", ".join(record.name for record in listing())
        raise UsageError(f"chooser: {name} does not list candidates; use one of: {able}")
    _check_installed(name)
    return name, "requested"


def check_known(name: str) -> None:
    """Raise UsageError for an unknown chooser."""
    if name not in CHOOSERS:
        hint = f"{', '.join(chooser_names())}{nearest(name, chooser_names())}"
        raise UsageError(f"chooser: unknown chooser {name!r}; use one of: {hint}")


def installed() -> tuple[str, ...]:
    """The names of the choosers whose packages are installed here. Imports none of them."""
    return tuple(record.name for record in CHOOSERS.values() if not missing_module(record))


def is_recurrent(name: str) -> bool:
    """Whether a video with this chooser must be processed in order, from its first frame. "": no chooser."""
    return bool(name) and CHOOSERS[name].recurrent


def _check_installed(name: str) -> None:
    if module := missing_module(CHOOSERS[name]):
        raise UsageError(f"chooser: {lacks(CHOOSERS[name], module)}")


def _automatic(options: Options, live: bool, settings: Settings, has_cuda: Callable[[], bool]) -> tuple[str, str]:
    """The chooser of the highest rank that understands all prompts and can run."""
    candidates = understanding(options.prompt_kinds)
    record, reason, lacking = select(candidates, live, settings, has_cuda)
    if record is not None:
        return record.name, reason
    remedies = _remedies(lacking)
    if unranked := [candidate.name for candidate in candidates if not list(ranked([candidate], live))]:
        remedies.append(f"auto does not select {' or '.join(unranked)}; name it with --chooser")
    kinds = listed(options.prompt_kinds)
    raise UsageError(f"chooser: none for {kinds} prompts is available here; {'; '.join(remedies)}")


def _remedies(lacking: Lacking) -> list[str]:
    """Those of the highest rank."""
    return [*lacking.weights[:1], *lacking.packages[:1], *lacking.gpu[:1]]
