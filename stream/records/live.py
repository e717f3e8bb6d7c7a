"""Records of live video that web and workers share: sessions, offers, commands, workers. Pydantic models, as JSON.

Knows nothing about Redis: `stream/records/live_store.py` stores these records, with atomic state transitions.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.records import versions
from stream.records.jobs import POISON
from stream.records.options import Options
from stream.records.versions import SharedRecord, Since


class SessionKind(StrEnum):
    """The purpose of a connection."""

    CAMERA = "camera"  # a camera in and its matted video back
    PUBLISH = "publish"  # WHIP: video in, published under a name
    VIEW = "view"  # WHEP: the stream of a name out


class SessionState(StrEnum):
    """The state of a session. The last three are final."""

    OFFERED = "offered"  # the client is waiting for a worker
    CONNECTING = "connecting"  # a worker has taken it; the connection is being established
    LIVE = "live"  # frames are flowing
    ENDED = "ended"  # ended on request
    FAILED = "failed"  # could not be served
    LOST = "lost"  # the worker is gone

    @property
    def final(self) -> bool:
        return not MOVES[self]


MOVES: dict[SessionState, frozenset[SessionState]] = {
    SessionState.OFFERED: frozenset({SessionState.CONNECTING, SessionState.FAILED, SessionState.ENDED}),
    SessionState.CONNECTING: frozenset({SessionState.LIVE, SessionState.FAILED, SessionState.ENDED, SessionState.LOST}),
    SessionState.LIVE: frozenset({SessionState.ENDED, SessionState.FAILED, SessionState.LOST}),
    SessionState.ENDED: frozenset(),
    SessionState.FAILED: frozenset(),
    SessionState.LOST: frozenset(),
}
"""Allowed transitions from each state. No others are ever stored, except that a worker hands an offer back."""


NO_STREAM, NAME_TAKEN, FULL = "no_stream", "name_taken", "full"
BAD_SDP, USAGE = "bad_sdp", "usage"
NO_WORKER, NO_ANSWER = "no_worker", "no_answer"
CONNECT_TIMEOUT, DTLS_FAILED, MEDIA_TIMEOUT, BYE = "connect_timeout", "dtls_failed", "media_timeout", "bye"
CANCELLED, ENGINE_FAILED, DRAINED, WORKER_LOST = "cancelled", "engine_failed", "drained", "worker_lost"
DELETED, REPLACED = "deleted", "replaced"

UDP_ADVICE = (
    "check the network and that firewalls let UDP through to the server (MATTEBOX_UDP_PORTS, MATTEBOX_PUBLIC_ADDRESS), "
    "or set up a TURN server (MATTEBOX_ICE_SERVERS)"
)
"""What to do where packets do not get through."""

REASONS = {
    NO_WORKER: "no worker took the offer in time",
    NO_ANSWER: "the worker that took the offer did not answer in time",
    POISON: "too many workers died before they took the offer",
    USAGE: "the worker does not support the options",
    NO_STREAM: "the stream ended before its viewer was connected",
    NAME_TAKEN: "another user took the name of the stream before its publisher was connected",
    BAD_SDP: "the worker could not answer the offer",
    CANCELLED: "the worker stopped before it had answered the offer",
    CONNECT_TIMEOUT: f"no connection was established: packets did not get through; {UDP_ADVICE}",
    DTLS_FAILED: "no connection was established: the DTLS handshake failed; the worker's log has the cause",
    MEDIA_TIMEOUT: "the client sent nothing for too long",
    ENGINE_FAILED: "an unexpected error ended the video",
    BYE: "the client closed the connection",
    DELETED: "ended by its owner through HTTP",
    REPLACED: "a newer session took its place",
    DRAINED: "the worker was shut down",
    WORKER_LOST: "the worker died, or lost its lease",
}
"""Why a session ended, by `Session.reason`. Problems that the store answers without a session are in `PROBLEMS`."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Meters(_Record):
    """Measurements of one video, by its worker over the last second."""

    fps_in: float = Field(0.0, ge=0, description="frames decoded per second")
    fps_out: float = Field(0.0, ge=0, description="frames encoded per second")
    matte_fps: float = Field(0.0, ge=0, description="mattes computed per second")
    latency_ms: float = Field(0.0, ge=0, description="median from a frame's arrival to its packet being sent")
    glass_ms: float = Field(0.0, ge=0, description="latency_ms plus the network round trip; 0: unknown, as for streams")
    stages_ms: dict[str, float] = Field(default_factory=dict, description="mean time per frame: decode, matte, encode")
    dropped: dict[str, int] = Field(default_factory=dict, description="frames since the start, by cause")
    width: int = Field(0, ge=0, description="of the output, in pixels")
    height: int = Field(0, ge=0)
    engine: str = ""
    device: str = ""
    bitrate_bps: int = Field(0, ge=0, description="of the output, all viewers together")
    viewers: int = Field(0, ge=0)
    load: float = Field(0.0, ge=0, le=1, description="of the worker")
    notice: str = Field("", description="a message for the user; empty: no problem")


class Session(SharedRecord):
    """One live connection, from its offer until ten minutes after its end.

    `id` is a random UUID, which cannot be guessed. `reason` is a key of `REASONS`, or "" before the end. `fence` is a
    fencing token, which increases with each change of ownership; calls with an older token are refused. Times are in
    seconds since 1970, by the clock of the store.
    """

    stored_only = frozenset({"late", "entry", "kept_s"})

    id: str = Field(min_length=1, max_length=limits.ID)
    kind: SessionKind
    owner: str = Field("", description="user; empty where the server has no tokens")
    name: str = Field("", description="of the stream: PUBLISH and VIEW")
    alpha: Literal["", "stacked"] = Field("", description="VIEW: stacked shows colour above alpha")
    state: SessionState = SessionState.OFFERED
    reason: str = ""
    options: Options = Options()
    worker: str = ""
    fence: int = 0
    of: str = Field("", description="VIEW: id of the publishing session")
    ufrag: str = Field(
        "", description="ICE user fragment of the offer; another one in a later request is an ICE restart"
    )
    created_s: float = 0.0
    updated_s: float = 0.0
    meters: Meters | None = None

    def ownership(self) -> tuple[str, str, int]:
        """What proves the worker's ownership: session id, worker, fence."""
        return self.id, self.worker, self.fence

    def to_fields(self) -> list[str]:
        """A flat list of name, value, name, value … as text, for the fields of a Redis hash."""
        values = versions.dump(self)
        fields = {name: str(value) for name, value in values.items() if name not in _NESTED}
        fields |= {name: json.dumps(values[name]) if values[name] else "" for name in _NESTED}
        return [text for pair in (fields | self.extra_fields()).items() for text in pair]

    @classmethod
    def from_fields(cls, fields: Mapping[str, str] | Sequence[str]) -> Self:
        """The inverse of `to_fields`; ignores fields that only the store uses, and what this version does not know.
        Raises ValidationError if its kind is unknown."""
        known = fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
        values: dict[str, Any] = {name: known[name] for name in cls.model_fields if known.get(name)}
        nested = {name: json.loads(values[name]) for name in _NESTED if name in values}
        return cls.read(values | nested, known)


_NESTED = ("options", "meters")


class Offer(_Record):
    """A client's SDP offer. After `deadline_s`, by the clock of the store, the client no longer waits for an answer."""

    session: str
    sdp: str
    deadline_s: float


class Answer(_Record):
    """A worker's reply: `sdp`, or a `problem` code and a `detail` text for people.

    Workers send `WORKER_PROBLEMS`; the store itself sends those of `PROBLEMS`.
    """

    sdp: str = ""
    problem: str = ""
    detail: str = ""


WORKER_PROBLEMS = (BAD_SDP, USAGE, NO_STREAM)
"""Problems that workers report."""

PROBLEMS = {
    NO_STREAM: "no stream is live under this name",
    NAME_TAKEN: "another user publishes under this name",
    FULL: "too many offers are waiting",
}
"""Problems that the store itself answers, without a worker."""


class Command(_Record):
    """An instruction for the worker of a session."""

    kind: Literal["options", "end", "candidates", "view"]
    session: str
    options: Options | None = Field(None, description="kind options: the new options, complete")
    text: str = Field("", description="candidates: an SDP fragment; view: the viewer's offer")
    reason: str = Field("", description="kind end: the reason to record")


class FeedCounts(_Record):
    """What the feeds of a worker did since its start, all together. No count ever decreases."""

    frames_in: int = Field(0, ge=0, description="decoded from sources")
    frames_out: int = Field(0, ge=0, description="sent, by all outputs together")
    dropped: dict[str, int] = Field(default_factory=dict, description="frames by cause")
    reconnects: dict[str, int] = Field(
        default_factory=dict, description="lost connections that were made again: source, output"
    )

    def __add__(self, other: Self) -> Self:
        return type(self)(
            frames_in=self.frames_in + other.frames_in,
            frames_out=self.frames_out + other.frames_out,
            dropped=_sums(self.dropped, other.dropped),
            reconnects=_sums(self.reconnects, other.reconnects),
        )


def _sums(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


class Worker(_Record):
    """A worker, as described by its heartbeat. Times are in seconds since 1970, by the clock of the store."""

    id: str = Field(min_length=1, max_length=128)
    host: str = ""
    pid: int = 0
    kind: Literal["live", "files"] = "live"
    state: Literal["starting", "ready", "draining"] = "starting"
    capacity: int = Field(0, ge=0, description="videos it can process; of a file, one segment each")
    sessions: int = Field(0, ge=0, description="videos it is processing")
    load: float = Field(0.0, ge=0, le=1)
    engine: str = ""
    device: str = ""
    batch: float = Field(0.0, ge=0, description="mean frames per engine call, since the start")
    wait_ms: float = Field(0.0, ge=0, description="median wait of the last 512 frames for the device")
    late_ms: float = Field(0.0, ge=0, description="95th percentile of that wait")
    busy_s: float = Field(0.0, ge=0, description="busy time of the device since the start, in seconds")
    failures: dict[str, int] = Field(
        default_factory=dict, description="failed live sessions since the start, by reason"
    )
    feeds: Annotated[FeedCounts, Since(2)] = FeedCounts()
    choosers: Annotated[tuple[str, ...], Since(2)] = Field((), description="those whose packages it has")
    memory_bytes: int = Field(0, ge=0, description="resident memory")
    device_bytes: int = Field(0, ge=0, description="GPU memory used by this process; 0 on a CPU")
    started_s: float = Field(0.0, description="first heartbeat; 0 in that one")
    seen_s: float = Field(0.0, description="last heartbeat")
