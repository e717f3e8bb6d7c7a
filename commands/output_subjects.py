"""Outputs that show only some of the subjects: the grammar of `-o OUT[:NAME[+NAME…]]`, and `{subject}` in OUT.

What follows the last colon names subjects only if it consists of names, and at least one of them is that of a subject
or nearly so, or if the text before it is already the name of an output. Everything else is a literal file name:
`a:b.webm`, `C:\\x.webm`, and `C:x`, because a single letter is a drive. A name that ends in a slash is always literal.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from stream.errors import UsageError
from stream.records import selection
from stream.records.formats import PICTURES, SUFFIXES
from stream.records.options import Options
from stream.records.selection import SEPARATOR, kept_names
from stream.records.subjects import NAME
from stream.suggestions import nearest

EACH = "{subject}"
"""In the name of an output: it stands for one output for each subject, which has the subject's name there."""
_NAMES = re.compile(rf"{NAME}(?:\{SEPARATOR}{NAME})*")

Named = tuple[str, tuple[str, ...]]
"""The name of an output, and those of the only subjects in it; () for all that are kept."""


def read_outputs(texts: Sequence[str], options: Options) -> list[Named]:
    """The outputs that the texts of `-o` describe. Raises UsageError."""
    return [output for text in texts for output in _expanded(*split(text, options), options)]


def split(text: str, options: Options, option: str = "-o") -> Named:
    """The name of an output and the subjects that it names. option: what the text was given to.

    Raises UsageError for a subject that it cannot show.
    """
    output, colon, rest = text.rpartition(":")
    if not colon or not _NAMES.fullmatch(rest) or re.fullmatch("[A-Za-z]?", output):
        return text, ()
    names = tuple(dict.fromkeys(rest.split(SEPARATOR)))
    if not (_has_suffix(output) or any(_is_meant(name, options) for name in names)):
        return text, ()
    if fault := selection.fault(names, options):
        raise UsageError(f"{option} {text}: {fault}")
    return output, names


def refuse_selection(text: str, options: Options) -> None:
    """Raise UsageError for an output of live video that names subjects. text: an address or a file name."""
    if "://" not in text and (EACH in text or split(text, options)[1]):
        raise UsageError(f"{text}: live outputs show all subjects; mattebox file and jobs write them separately")


def _has_suffix(output: str) -> bool:
    return PurePath(output).suffix.lower() in {*SUFFIXES, *PICTURES}


def _is_meant(name: str, options: Options) -> bool:
    known = [subject.name for subject in options.subjects]
    return name in known or bool(nearest(name, known))


def _expanded(output: str, names: tuple[str, ...], options: Options) -> Iterator[Named]:
    if EACH not in output:
        yield output, names
        return
    each = names or kept_names(options.subjects)
    if not each:
        raise UsageError(f"-o {output}: {EACH} needs subjects; choose them with --subject NAME=PROMPT")
    for name in each:
        if fault := selection.fault((name,), options):
            raise UsageError(f"-o {output}: {fault}")
        yield output.replace(EACH, name), (name,)
