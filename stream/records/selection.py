"""Which of a video's subjects an output shows: all that are kept, or those that it names."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from stream import limits
from stream.records.options import Options, View
from stream.records.subjects import NAME, Subject
from stream.suggestions import nearest

SEPARATOR = "+"
"""Between the names of several subjects, as text."""


def _read(value: Any) -> Any:
    names = value.split(SEPARATOR) if isinstance(value, str) and value else value or ()
    return tuple(dict.fromkeys(names)) if isinstance(names, (list, tuple)) and _are_texts(names) else names


def _are_texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


Selection = Annotated[
    tuple[Annotated[str, Field(pattern=f"^{NAME}$")], ...],
    BeforeValidator(_read),
    Field(
        max_length=limits.SUBJECTS,
        description="names of the only subjects that it shows, a list or text such as ann+bob; by default all",
    ),
]
"""The names of the only subjects that an output shows; () for all."""


def kept_names(subjects: Sequence[Subject]) -> list[str]:
    """The names of the subjects that have a matte, in order."""
    return [subject.name for subject in subjects if subject.keep]


def fault(selection: Sequence[str], options: Options) -> str:
    """What is wrong with the selection of an output with these options, as one line; "" if nothing."""
    kept = kept_names(options.subjects)
    for name in selection:
        if name in kept:
            continue
        if any(subject.name == name for subject in options.subjects):
            return f"the subject {name!r} is removed (not:), so it has no matte of its own"
        listed = f"use one of: {', '.join(kept)}{nearest(name, kept)}" if kept else "none is chosen"
        return f"there is no subject {name!r}; {listed}"
    if selection and options.view is View.COMPOSITE and options.background.kind == "none":
        return f"the background none shows everything, not only {', '.join(selection)}"
    return ""
