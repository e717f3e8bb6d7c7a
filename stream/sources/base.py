"""Interfaces of sources that are opened by an address, and their options."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, Protocol

from stream.address import Address
from stream.errors import UsageError
from stream.pump import Item, Source
from stream.records.metadata import Metadata
from stream.settings import Settings
from stream.slot import LiveSlot, Slot

_DESCRIPTIONS = {"start_s": "a start", "end_s": "an end", "size": "a size", "duration_s": "a duration",
                 "stream": "a choice of stream", "loop": "a loop", "rate": "a rate",
                 "hold": "a rule for missing files"}  # fmt: skip


@dataclass(frozen=True)
class SourceState:
    """The state of a live source's connection. reason: why the connection was lost, or why it is closed ("idle")."""

    name: Literal["connecting", "live", "reconnecting", "idle"] = "connecting"
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.reason else self.name


@dataclass(frozen=True)
class SourceOptions:
    """Options for opening a source.

    start_s, end_s: the part of a recording, in seconds from its start; end_s None: to its end.
    size: (width, height) to scale to, in pixels; one of them 0 keeps the aspect ratio, both 0 keep the size.
    stream: the number of the video stream of a recording, see `video_streams.py`; None: the best one.
    rate: frames per second of a picture sequence; None: the default. hold: its missing frames are repeated ones.
    photos: frames carry their picture in full quality (`Frame.photo`), where the source has one.
    duration_s: a live source ends this long after its first frame; None: it does not end by itself.
    loop: a file as a live source begins again at its end.
    on_state: called with each new state of a live source, in any thread; if it returns False, it is called again later.
    Without it the states are logged. A recording has no states.
    insecure: a live source accepts any TLS certificate; others have no connections.
    proxy: URL of an HTTP proxy for live sources over HTTP; "": none.
    token: bearer token of a WHEP server; other sources have none.
    metadata: what is kept of a recording's metadata, see `VideoInfo.extras`; live sources have none.
    """

    start_s: float = 0.0
    end_s: float | None = None
    size: tuple[int, int] = (0, 0)
    stream: int | None = None
    rate: Fraction | None = None
    hold: bool = False
    photos: bool = False
    duration_s: float | None = None
    loop: bool = False
    on_state: Callable[[SourceState], object] | None = None
    insecure: bool = False
    proxy: str = field(default="", repr=False)
    token: str | None = field(default=None, repr=False)
    metadata: Metadata = Metadata.KEEP

    def check(self, kind: str, takes: frozenset[str]) -> None:
        """Raise UsageError for options that the source does not support. kind: its key in `SOURCES`. takes: the fields
        that it supports."""
        default = SourceOptions()
        requested = [field for field in _DESCRIPTIONS if getattr(self, field) != getattr(default, field)]
        if refused := [_DESCRIPTIONS[field] for field in requested if field not in takes]:
            name = {"picture": "a picture", "sequence": "a picture sequence", "played": "a file as a live source"}.get(
                kind, f"{kind}://"
            )
            raise UsageError(f"{name} does not support {' or '.join(refused)}")


class LiveSource(Source, Protocol):
    """A source that never blocks its producer: it provides the newest frame, until `end` or `close` is called.

    slot: the slot that `pump` reads from, a `LiveSlot` if the source has sound; `slot.dropped` counts frames for which
    the transform was too slow.
    dropped: frames dropped before that, by cause: "convert" (a newer one arrived first) and "unusable".
    state: the current state.
    """

    dropped: Counter[str]

    @property
    def slot(self) -> Slot[Item] | LiveSlot[Item]: ...

    @property
    def state(self) -> SourceState: ...

    def end(self) -> None:
        """Stop producing frames; those already delivered are still processed. Safe in a signal handler."""
        ...


class SourceClass(Protocol):
    """The class that an entry of `SOURCES` names.

    live: its instances are `LiveSource`s. takes: the fields of `SourceOptions` that it supports; `open_source` refuses
    the others. `on_state`, `insecure` and `token` are not listed: every source accepts them.
    """

    live: bool
    takes: frozenset[str]

    def from_address(self, address: Address, options: SourceOptions, settings: Settings) -> Source:
        """A class method. Checks its arguments; a live source connects only when `info` is first read.

        Optional packages are imported here, not at the top of the module. Raises UsageError, InputError.
        """
        ...
