"""Messages for misspelled values: they suggest the nearest valid one."""

import difflib
from collections.abc import Sequence

from stream.errors import UsageError


def choose(option: str, value: str, choices: Sequence[str]) -> None:
    """Raise UsageError if `value` is not one of `choices`."""
    if value not in choices:
        raise UsageError(f"{option}: {value!r} is not one of: {', '.join(choices)}{nearest(value, choices)}")


def nearest(value: str, choices: Sequence[str]) -> str:
    """The end of a sentence that suggests the choice nearest to `value`; "" if none is near."""
    near = difflib.get_close_matches(value.lower(), choices, 1)
    return f"; did you mean {near[0]}?" if near else ""
