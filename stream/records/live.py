"""What web and workers tell each other about live video: sessions, offers, commands, workers. Pydantic, JSON both ways.

Knows nothing about Redis: `stream/records/live_store.py` keeps these records and makes their moves atomic.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.records import keys
from stream.records.options import Options


class SessionKind(StrEnum):
    """What passes over the connection."""

    CAMERA = "camera"  # the camera out and its matted picture back
    PUBLISH = "publish"  # WHIP: video comes in, under a name
    VIEW = "view"  # WHEP: the stream of that name goes out


class SessionState(StrEnum):
    """Where a session stands. The last three are final."""

    OFFERED = "offered"  # a client waits for a worker
    CONNECTING = "connecting"  # a worker has it; the connection is being made
    LIVE = "live"  # pictures flow
    ENDED = "ended"  # as somebody wished
    FAILED = "failed"  # it could not be served
    LOST = "lost"  # its worker is gone

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
"""From each state to those that may follow it. No other move is ever stored."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Meters(_Record):
    """What one video does just now, measured by its worker over the last second."""

    fps_in: float = Field(0.0, ge=0, description="frames decoded a second")
    fps_out: float = Field(0.0, ge=0, description="frames encoded a second")
    matte_fps: float = Field(0.0, ge=0, description="mattes computed a second")
    latency_ms: float = Field(0.0, ge=0, description="from a frame's arrival to its packet's leaving, median")
    glass_ms: float = Field(0.0, ge=0, description="latency_ms and the network both ways; 0: not known, as for streams")
    stages_ms: dict[str, float] = Field(default_factory=dict, description="of a frame, mean: decode, matte, encode")
    dropped: dict[str, int] = Field(default_factory=dict, description="frames since the start, by cause")
    width: int = Field(0, ge=0, description="of the output, in pixels")
    height: int = Field(0, ge=0)
    engine: str = ""
    device: str = ""
    bitrate_bps: int = Field(0, ge=0, description="of the output, all viewers together")
    viewers: int = Field(0, ge=0)
    load: float = Field(0.0, ge=0, le=1, description="of the worker")
    notice: str = Field("", description="what its user should know, in words; empty: all is well")


class Session(_Record):
    """One live connection, from its offer to ten minutes past its end.

    `id` is a random UUID: whoever does not know it cannot guess it. `reason` says in one word how a final state came
    about: "", "no_worker", "no_answer", "connect_timeout", "media_timeout", "deleted", "bye", "drained", "replaced",
    "worker_lost", "bad_sdp", "full", "engine_failed". `fence` grows whenever somebody else is put in charge of the
    session; who holds an older one is refused. Times are in seconds since 1970, by the clock of the store.
    """

    id: str = Field(min_length=1, max_length=limits.ID)
    kind: SessionKind
    owner: str = Field("", description="user; empty where the server has no tokens")
    name: str = Field("", description="of the stream: PUBLISH and VIEW")
    state: SessionState = SessionState.OFFERED
    reason: str = ""
    options: Options = Options()
    worker: str = ""
    fence: int = 0
    of: str = Field("", description="VIEW: id of the publishing session")
    created_s: float = 0.0
    updated_s: float = 0.0
    meters: Meters | None = None

    def to_fields(self) -> list[str]:
        """Name, value, name, value … as text, for stores that keep the fields of a record apart."""
        nested = {"options", "meters"}
        fields = {name: str(value) for name, value in self.model_dump(exclude=nested).items()}
        fields |= {
            "options": self.options.model_dump_json(),
            "meters": self.meters.model_dump_json() if self.meters else "",
        }
        return [text for pair in fields.items() for text in pair]

    @classmethod
    def from_fields(cls, fields: Mapping[str, str] | Sequence[str]) -> Self:
        """The other way; fields of the store's own are passed over."""
        known = fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
        values: dict[str, Any] = {name: known[name] for name in cls.model_fields if known.get(name)}
        nested = {name: json.loads(values[name]) for name in ("options", "meters") if name in values}
        return cls.model_validate(values | nested)


class Offer(_Record):
    """What a client proposes. After `deadline_s`, by the clock of the store, nobody waits for an answer."""

    session: str
    sdp: str
    deadline_s: float


class Answer(_Record):
    """A worker's reply: `sdp`, or else `problem` in one word and `detail` for a person.

    Problems: "bad_sdp", "full", "engine" (from workers), and those of `PROBLEMS`.
    """

    sdp: str = ""
    problem: str = ""
    detail: str = ""


PROBLEMS = {
    keys.NO_STREAM: "nothing is live under that name",
    keys.NAME_TAKEN: "somebody else publishes under that name",
    keys.FULL: "too many offers wait already",
}
"""Answers of the store itself, given without a worker."""


class Command(_Record):
    """Something to be done to a session by the worker that has it."""

    kind: Literal["options", "end", "candidates", "view"]
    session: str
    options: Options | None = Field(None, description="of kind options: the new ones, complete")
    text: str = Field("", description="candidates: an SDP fragment; view: the viewer's offer")
    reason: str = Field("", description="of kind end: the word for the record")


class Worker(_Record):
    """A worker as its heartbeat shows it."""

    id: str = Field(min_length=1, max_length=128)
    host: str = ""
    pid: int = 0
    kind: Literal["live", "files"] = "live"
    state: Literal["starting", "ready", "draining"] = "starting"
    capacity: int = Field(0, ge=0, description="videos that it can hold; of a file, one part")
    sessions: int = Field(0, ge=0, description="videos that it holds")
    load: float = Field(0.0, ge=0, le=1)
    engine: str = ""
    device: str = ""
    batch: float = Field(0.0, ge=0, description="frames in a call of the engine, mean since the start")
    wait_ms: float = Field(0.0, ge=0, description="median wait of a frame for the device, of the last 512")
    late_ms: float = Field(0.0, ge=0, description="and its 95th percentile")
    busy_s: float = Field(0.0, ge=0, description="time that the device worked, since the start")
    memory_bytes: int = Field(0, ge=0, description="resident")
    device_bytes: int = Field(0, ge=0, description="memory of the GPU in use by this process; 0 on a CPU")
    started_s: float = 0.0
    seen_s: float = Field(0.0, description="last heartbeat")
