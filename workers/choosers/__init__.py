"""Choosers find the subjects that a user's prompts describe; engines draw their edges. Selects and loads them by name.

To add a chooser, see `base.py` for its class and `stream/records/choosers.py` for its record; nothing here changes.
"""

from stream.errors import UsageError
from stream.records.choosers import CHOOSERS
from stream.records.engines import AUTO
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from workers.choosers.base import Chooser
from workers.weights.known import Say, silent


def load(name: str, options: Options, settings: Settings, say: Say = silent) -> Chooser:
    """Create a chooser; downloads its weights if necessary. say: called with messages for the user, such as the licence
    of the weights.

    Raises UsageError, WeightsError.
    """
    if name not in CHOOSERS:
        raise UsageError(f"chooser: unknown chooser {name!r}; use one of: {', '.join([AUTO, *CHOOSERS])}")
    chooser: Chooser = find(CHOOSERS[name].place)(options, settings, say)
    return chooser


def choose(options: Options, live: bool, settings: Settings) -> tuple[str, str]:
    """The name of the chooser for a video's subjects, and the reason as text; ("", "") for a video without subjects.

    Raises UsageError if no chooser understands all prompts.
    """
    if not options.subjects:
        return "", ""
    if options.chooser != AUTO:
        return options.chooser, "requested"
    kinds = {kind for subject in options.subjects for kind in subject.kinds}
    for record in CHOOSERS.values():
        if kinds <= set(record.prompts):
            return record.name, "understands the prompts"
    raise UsageError(f"chooser: none understands all of: {', '.join(sorted(kinds))}")
