"""Interfaces of the outputs of live video. A new kind of output is one class and one line in `protocols.py`.

There are two kinds. A *packet output* gets encoded H.264 and sound (`PacketWriter`): network protocols and files that
store what the network gets. A *frame output* gets frames (`stream.pump.Sink`): a virtual camera, or a file in another
codec.

The output's thread (`output.py`) creates a writer for every connection, retries after errors, counts, and reports
states. A writer therefore makes one connection, raises when it fails, and knows nothing about retries.

Errors that a writer raises:

* Any `MatteboxError`, such as RemoteError ("connection refused") or DeviceError: its text is the reason. The output
  connects again after the setting `rtsp_retry_s`, or ends, as its line in `PROTOCOLS` says (`retried`).

The text must not contain the address, credentials, or a message of FFmpeg, which may quote them. Other exceptions are
bugs: they are logged and retried, without their text in the state.
"""

from typing import Protocol

from stream.picture.frames import VideoInfo
from stream.pump import Item
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live.packets import Packet, Tracks
from stream.sinks.live.spec import OutputSpec


class EncodeControl(Protocol):
    """What a writer may request of the encoder of its packets. From any thread."""

    def request_key(self) -> None:
        """Ask for a keyframe; at most one a second is made."""
        ...

    def limit(self, bps: int) -> None:
        """Encode at most this many bits per second from now on, because the connection takes no more. Where outputs
        share an encode, the lowest limit counts."""
        ...


class PacketWriter(Protocol):
    """One connection of a packet output. `open`, `write` and `close` are called by the output's thread, `abort` by any
    thread. A call must return or raise within about `Settings.output_timeout_s`, also if the peer is frozen."""

    def open(self, tracks: Tracks) -> None:
        """Connect. On return the peer has accepted the stream, or the protocol cannot tell (UDP)."""
        ...

    def write(self, packet: Packet) -> None:
        """Send a packet. The first is a keyframe with pts 0."""
        ...

    def close(self) -> None:
        """Send what is buffered, say goodbye and disconnect. A file gets its name here."""
        ...

    def abort(self) -> None:
        """Disconnect at once; calls in progress raise soon. May be called at any time and more than once. A
        recording is kept as far as it was written."""
        ...


class PacketWriterClass(Protocol):
    """The class that a packet output's line in `PROTOCOLS` names."""

    def from_spec(self, spec: OutputSpec, settings: Settings, control: EncodeControl) -> PacketWriter:
        """A class method. Does not connect. control: of the encoder. Optional packages are imported here. Raises
        UsageError, DiskError."""
        ...

    def check(self, spec: OutputSpec, settings: Settings) -> None:
        """A class method. Raise UsageError if the request cannot work (an address without host, a missing program),
        without contacting anything."""
        ...


class FrameWriter(Protocol):
    """One connection of a frame output, such as a virtual camera: the interface of `stream.pump.Sink`, whose classes in
    `SINKS` can be used directly. Each runs in a thread of its own, behind a queue of a few frames, from which the
    oldest are dropped when it is slow."""

    def open(self, info: VideoInfo) -> None: ...

    def write(self, item: Item) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class FrameWriterClass(Protocol):
    """The class that a frame output's line in `PROTOCOLS` names."""

    def from_spec(self, spec: OutputSpec, options: Options, settings: Settings) -> FrameWriter:
        """A class method. As `PacketWriterClass.from_spec`. options: of the video; if `options.wants_alpha`, frames
        have alpha."""
        ...

    def check(self, spec: OutputSpec, options: Options, settings: Settings) -> None:
        """A class method. As `PacketWriterClass.check`."""
        ...
