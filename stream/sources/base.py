"""What a source that is opened by an address has to have, and what may be asked of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from stream.address import Address
from stream.errors import UsageError
from stream.pump import Item, Source
from stream.settings import Settings
from stream.slot import Slot

_WORDS = {"start_s": "a start", "end_s": "an end", "size": "a size", "duration_s": "a duration"}


@dataclass(frozen=True)
class SourceState:
    """The state of a live source's connection. reason: why it was lost."""

    name: Literal["connecting", "live", "reconnecting"] = "connecting"
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.reason else self.name


@dataclass(frozen=True)
class SourceOptions:
    """What is asked of a source, besides its address.

    start_s, end_s: the part of a recording, in seconds from its beginning; end_s None: to its end.
    size: (width, height) in pixels to scale to; one of them 0 keeps the shape, both 0 keep the size.
    duration_s: a live source ends by itself so long after its first frame; None: it does not.
    on_state: called with each new state of a live source, in any thread, and again later if it returns False. Without
    it the states are logged. A recording has none.
    """

    start_s: float = 0.0
    end_s: float | None = None
    size: tuple[int, int] = (0, 0)
    duration_s: float | None = None
    on_state: Callable[[SourceState], object] | None = None

    def check(self, scheme: str, takes: frozenset[str]) -> None:
        """Raises UsageError where something is asked that is not among `takes`, which are names of fields."""
        default = SourceOptions()
        asked = [field for field in _WORDS if getattr(self, field) != getattr(default, field)]
        if refused := [_WORDS[field] for field in asked if field not in takes]:
            raise UsageError(f"{scheme}:// cannot be given {' or '.join(refused)}")


class LiveSource(Source, Protocol):
    """A source that does not wait: it hands on its newest picture, and goes on until `end` or `close` is called.

    slot: the hand-over that `pump` reads from; `slot.dropped` counts what the transform was too slow for.
    dropped: pictures lost before that, by cause: "convert" (a newer one came first) and "unusable".
    state: as of now.
    """

    slot: Slot[Item]
    dropped: Counter[str]
    state: SourceState

    def end(self) -> None:
        """No more frames; those handed on are still worked on. Safe in a signal handler."""
        ...


class SourceClass(Protocol):
    """The class behind a line of `SOURCES`.

    live: its instances are `LiveSource`s. takes: the fields of `SourceOptions` that it honours; `open_source` refuses
    the others. `on_state` is not among them: every source may be given one.
    """

    live: bool
    takes: frozenset[str]

    def from_address(self, address: Address, options: SourceOptions, settings: Settings) -> Source:
        """A class method. Checks what it is given; a live source connects no earlier than when `info` is first read.

        Packages that not every installation has are imported here, not at the top of the module. Raises UsageError,
        InputError.
        """
        ...
