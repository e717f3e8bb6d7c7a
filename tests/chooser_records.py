"""Records of choosers for tests that need to know only what they understand. They have no class."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from stream.records.choosers import CHOOSERS, ChooserRecord
from stream.records.engines import Rank

FOLLOWING = ChooserRecord(
    "following", "none:Following", "Follows (following)", "Follows what was pointed at.", ("point", "box", "mask"),
    recurrent=True, live=Rank(10, "follows points live"), files=Rank(20, "follows points"),
)  # fmt: skip
QUICK = ChooserRecord(
    "quick", "none:Quick", "Quick (quick)", "Finds points and boxes.", ("point", "box"),
    live=Rank(20, "fastest for points"), files=Rank(10, "fastest for points"),
)  # fmt: skip
NAMING = ChooserRecord(
    "naming", "none:Naming", "Names (naming)", "Finds classes.", ("class",),
    live=Rank(5, "finds classes"), files=Rank(5, "finds classes"),
)  # fmt: skip
LISTING = replace(QUICK, prompts=("point", "box", "class"), lists=True)
"""A newer `quick`, which also finds classes and lists candidates."""
READING = ChooserRecord("reading", "none:Reading", "Reads (reading)", "Finds words.", ("words", "mask"))

ALL = (FOLLOWING, QUICK, NAMING, READING)


@contextmanager
def registered(*records: ChooserRecord) -> Iterator[None]:
    """Only these choosers are known; by default those above."""
    chosen = records or ALL
    with patch.dict(CHOOSERS, {record.name: record for record in chosen}, clear=True):
        yield
