"""Records of feeds that web and workers share: a live source, matted, to one or more outputs. Pydantic, as JSON.

A feed's record has no secrets: addresses in it are as `str(Address)` shows them. The complete addresses and tokens are
in `FeedSecrets`, which only the worker that runs the feed reads. Knows nothing about Redis: `feed_store.py` stores
these records.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.records import versions
from stream.records.jobs import POISON, Side
from stream.records.live import ENGINE_FAILED, USAGE, Meters
from stream.records.options import FeedOptions
from stream.records.versions import SharedRecord, Since

FeedName = Annotated[str, Field(pattern=f"^{limits.NAME}$")]
OutputId = Annotated[str, Field(pattern=f"^{limits.FEED_OUTPUT_ID}$")]
Bitrate = Annotated[
    int | None,
    Field(
        ge=limits.BITRATE_LEAST, le=limits.BITRATE_MOST, description="bits per second of the video; null: by its size"
    ),
]
Audio = Literal["copy", "off"]


class FeedState(StrEnum):
    """The state of a feed. `running` alone has a worker."""

    WAITING = "waiting"  # for a worker with capacity
    RUNNING = "running"  # a worker runs it; its source and outputs have states of their own
    STOPPED = "stopped"  # by its owner
    FAILED = "failed"  # cannot run as it is: `reason`; a change starts it again


FEED_MOVES: dict[FeedState, frozenset[FeedState]] = {
    FeedState.WAITING: frozenset({FeedState.RUNNING, FeedState.STOPPED, FeedState.FAILED}),
    FeedState.RUNNING: frozenset({FeedState.WAITING, FeedState.STOPPED, FeedState.FAILED}),
    FeedState.STOPPED: frozenset({FeedState.WAITING}),
    FeedState.FAILED: frozenset({FeedState.WAITING, FeedState.STOPPED}),
}
"""The states that may follow each state. No other transition is ever stored."""

SUSPECT = "suspect"
_AGAIN = "then change it or start it again"

REASONS = {
    POISON: "workers died repeatedly while they ran this feed, and no other feed can be the cause; check its source, "
    f"engine and outputs, {_AGAIN}",
    ENGINE_FAILED: f"it ended repeatedly with unexpected errors; read the worker's log, {_AGAIN}",
    USAGE: "the worker does not support the source, an output or the options",
    SUSPECT: "its workers died repeatedly; to find the cause, it waits for a worker that has run its other feeds for a "
    "while",
}
"""Why a feed failed, or (SUSPECT) waits, by `Feed.reason`."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FeedOutput(_Record):
    """One output as its owner wants it. address: without secrets. id: unique within the feed."""

    id: OutputId
    address: str
    bitrate: Bitrate = None
    audio: Audio = "copy"
    insecure: bool = Field(False, description="accept any TLS certificate")
    paused: bool = False


class OutputReport(_Record):
    """The state of an output, by the worker that runs the feed."""

    id: str
    state: str = Field("connecting", description="connecting, live, reconnecting, paused or ended")
    reason: str = Field("", description="why the connection was lost")
    frames: int = Field(0, ge=0, description="sent since the start")
    dropped: int = Field(0, ge=0, description="not sent, because the receiver was too slow or away")
    bitrate_bps: int = Field(0, ge=0, description="sent recently")
    since_s: float = Field(0.0, ge=0, description="seconds in this state")
    reconnects: Annotated[int, Since(2)] = Field(0, ge=0, description="lost connections that were made again")
    latency_ms: Annotated[float, Since(2)] = Field(
        0.0, ge=0, description="median from a frame's arrival to its being sent; 0: unknown"
    )


class FeedReport(_Record):
    """What the worker that runs a feed reports every second. A feed without a worker has an empty one."""

    source_state: str = Field("", description="connecting, live, reconnecting or idle")
    source_reason: str = ""
    outputs: tuple[OutputReport, ...] = ()
    meters: Meters | None = None


class Feed(SharedRecord):
    """A feed, from its creation until its owner removes it.

    `id` is a random UUID. `name` is unique among the owner's feeds. `version` counts the owner's changes; a worker that
    sees a new one applies it. `fence` is a fencing token, which increases with each change of ownership. Times are in
    seconds since 1970, by the clock of Redis.
    """

    stored_only = frozenset({"renewed_s", "deaths", "losses", "trial_s", "whole_report"})

    id: str = Field(min_length=1, max_length=limits.ID)
    owner: str = ""
    name: FeedName
    source: str
    insecure: bool = Field(False, description="accept any TLS certificate of the source")
    width: Side = Field(0, description="of the outputs; 0: from the height and the aspect ratio, or as the source")
    height: Side = 0
    outputs: tuple[FeedOutput, ...] = Field((), max_length=limits.FEED_OUTPUTS)
    options: FeedOptions = FeedOptions()
    state: FeedState = FeedState.WAITING
    reason: str = ""
    detail: str = ""
    worker: str = ""
    fence: int = 0
    version: int = 0
    created_s: float = 0.0
    updated_s: float = 0.0
    claimed_s: float = Field(0.0, description="when its worker took it; 0: never")
    report: FeedReport = FeedReport()

    def ownership(self) -> tuple[str, str, int]:
        """What proves the worker's ownership: feed id, worker, fence."""
        return self.id, self.worker, self.fence

    def to_fields(self, secrets: "FeedSecrets") -> list[str]:
        """A flat list of name, value, name, value …: `_TEXT_FIELDS` as they are, all others as JSON. secrets: stored
        beside it, and of the same format. The report is left out: `FeedStore.report` stores it."""
        feed = self.model_copy(update={"report": FeedReport()})
        values = versions.dump(feed)
        pairs = {name: value if name in _TEXT_FIELDS else json.dumps(value) for name, value in values.items()}
        return [text for pair in (pairs | feed.extra_fields(*secrets.outputs.values())).items() for text in pair]

    @classmethod
    def from_fields(cls, fields: Mapping[str, str] | Sequence[str]) -> Self:
        """The inverse of `to_fields`, with the report; ignores fields that only the store uses, and what this version
        does not know. A report with unknown parts does not make the feed `newer`: it is only shown."""
        known = fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
        values = {
            name: known[name] if name in _TEXT_FIELDS else json.loads(known[name])
            for name in cls.model_fields
            if name in known
        }
        report = whole_report(known.get("fence", ""), known.get("whole_report", "")) or known.get("report", "{}")
        values["report"] = versions.dump(versions.read_json(FeedReport, report))
        return cls.read(values, known)


def whole_report(fence: str, text: str) -> str:
    """The report in a field `whole_report`, which begins with the fence of the worker that wrote it: "" if an older
    version has changed the owner since, which does not know the field."""
    written, _, report = text.partition(" ")
    return report if written == fence else ""


_TEXT_FIELDS = frozenset({"id", "owner", "name", "source", "state", "reason", "detail", "worker"})


class OutputSecret(_Record):
    """What connects an output: its complete address, and the token of a WHIP server."""

    url: str = Field(repr=False)
    token: str = Field("", repr=False)


@dataclass(frozen=True)
class FeedSecrets:
    """The complete addresses of a feed. source: the source's URL. outputs: by id of the output. source_token: of a WHEP
    server that is the source."""

    source: str = field(repr=False)
    outputs: Mapping[str, OutputSecret] = field(default_factory=dict, repr=False)
    source_token: str = field(default="", repr=False)

    def to_fields(self) -> list[str]:
        """A flat list of name, value, … for a Redis hash of its own."""
        texts = {f"{_OUTPUT}{id}": versions.dump_json(secret) for id, secret in self.outputs.items()}
        own = {_SOURCE: self.source} | ({_SOURCE_TOKEN: self.source_token} if self.source_token else {})
        return [text for pair in (own | texts).items() for text in pair]

    @classmethod
    def from_fields(cls, flat: Sequence[str]) -> Self:
        pairs = dict(zip(flat[::2], flat[1::2], strict=True))
        outputs = {
            name.removeprefix(_OUTPUT): versions.read_json(OutputSecret, text)
            for name, text in pairs.items()
            if name.startswith(_OUTPUT)
        }
        return cls(pairs[_SOURCE], outputs, pairs.get(_SOURCE_TOKEN, ""))


_SOURCE, _SOURCE_TOKEN, _OUTPUT = "source", "source_token", "output:"


def secret_field(output_id: str) -> str:
    """The field of an output in the hash of secrets."""
    return f"{_OUTPUT}{output_id}"


@dataclass(frozen=True)
class ClaimedFeed:
    """A feed that a worker owns, with what it needs to run it."""

    feed: Feed
    secrets: FeedSecrets


@dataclass(frozen=True)
class FeedPage:
    """A part of a list of feeds, newest first. next: the cursor of the next part, "" at the end."""

    feeds: list[Feed]
    next: str


@dataclass(frozen=True)
class FeedSummary:
    """All feeds of the service. states: number of feeds, for every state. running: the reports of those that run."""

    states: Mapping[FeedState, int]
    running: Sequence[FeedReport]
