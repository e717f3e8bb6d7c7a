"""What an output of live video is, and its state."""

from dataclasses import dataclass, field
from typing import Literal, Self

from stream.address import Address

State = Literal["connecting", "live", "reconnecting", "paused", "ended"]


@dataclass(frozen=True)
class OutputSpec:
    """An output as requested. Its repr and str show no password, stream key or token.

    bitrate: video bits per second; None: fitting for the size and rate. rate: most frames per second; None: all frames.
    audio: "copy" sends sound, encoded again where the output does not take its codec; "off" sends none. token: for
    servers that ask for a bearer token. insecure: accept any TLS certificate. paused: start without connecting.
    strict: a user of the service gave the address: what the server names, such as redirects, is checked like it.
    segment_s: seconds of a segment of HLS, at least 1.
    """

    address: Address
    bitrate: int | None = None
    rate: float | None = None
    audio: Literal["copy", "off"] = "copy"
    token: str | None = field(default=None, repr=False)
    insecure: bool = False
    paused: bool = False
    strict: bool = False
    segment_s: float = 2.0


@dataclass(frozen=True)
class OutputStatus:
    """The state of an output at a moment.

    id: its number, from 1. address: without credentials. reason: why it is not live, "" if there is nothing to explain.
    frames: frames written, over all connections. dropped: frames not written because the output was slow or lost, not
    counting the time before its first connection and pauses. bitrate_bps: bits per second over the last second, of
    video and sound. since_s: when this state began, in seconds since 1970. reconnects: lost connections that were
    followed by another one. latency_ms: median from a frame's arrival to its being sent, over the last second; 0 where
    unknown.
    """

    id: int
    address: str
    state: State
    reason: str = ""
    frames: int = 0
    dropped: int = 0
    bitrate_bps: int = 0
    since_s: float = 0.0
    reconnects: int = 0
    latency_ms: float = 0.0

    def __str__(self) -> str:
        """A line for people, such as "output 2 rtmp://host: reconnecting: connection refused"."""
        return f"output {self.id} {self.address}: {self.state}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True)
class OutputTotals:
    """Counts of several outputs together, with the meaning that they have in `OutputStatus`."""

    frames: int = 0
    dropped: int = 0
    reconnects: int = 0

    def plus(self, status: OutputStatus) -> Self:
        return type(self)(
            self.frames + status.frames, self.dropped + status.dropped, self.reconnects + status.reconnects
        )
