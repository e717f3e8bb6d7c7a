"""An SRT output: packets muxed to MPEG-TS here, and sent by a child process that has the SRT library."""

from contextlib import suppress
from typing import Any, Self, cast

import av

from stream.errors import RemoteError
from stream.settings import Settings
from stream.sinks.live import reasons
from stream.sinks.live.base import EncodeControl
from stream.sinks.live.header import templates
from stream.sinks.live.packets import Packet, Tracks
from stream.sinks.live.spec import OutputSpec
from stream.srt import SrtAddress, SrtWriter, find_program

_OPTIONS = {"max_interleave_delta": "1", "flush_packets": "1"}


class SrtOutput:
    """A `PacketWriter`. An output in mode listener stays `connecting` until somebody calls."""

    @classmethod
    def check(cls, spec: OutputSpec, settings: Settings) -> None:
        SrtAddress.parse(spec.address)
        find_program()

    @classmethod
    def from_spec(cls, spec: OutputSpec, settings: Settings, control: EncodeControl) -> Self:
        return cls(SrtAddress.parse(spec.address), settings)

    def __init__(self, address: SrtAddress, settings: Settings) -> None:
        self._address, self._settings = address, settings
        self._writer: SrtWriter | None = None
        self._container: Any = None
        self._aborted = False

    def open(self, tracks: Tracks) -> None:
        limit_s = self._settings.output_timeout_s
        writer = self._writer = SrtWriter(self._address, limit_s, stall_s=limit_s)
        if self._aborted:
            writer.kill()
        try:
            writer.connect()
            self._container = container = av.open(cast(Any, writer), "w", format="mpegts", options=_OPTIONS)
            with templates(tracks.header) as described:
                self._clocks = [cast(Any, stream.time_base) for stream in described.streams]
                self._streams = [container.add_stream_from_template(s, opaque=True) for s in described.streams]
                container.start_encoding()
        except OSError as exc:
            raise self._failure(exc) from None

    def write(self, packet: Packet) -> None:
        track = 0 if packet.kind == "video" else 1
        muxed: Any = av.Packet(packet.data)
        muxed.stream, muxed.time_base = self._streams[track], self._clocks[track]
        muxed.pts, muxed.dts, muxed.duration, muxed.is_keyframe = packet.pts, packet.dts, packet.duration, packet.key
        try:
            self._container.mux(muxed)
        except OSError as exc:
            raise self._failure(exc) from None

    def close(self) -> None:
        with suppress(OSError):
            self._container.close()
        if self._writer is not None:
            self._writer.close()

    def abort(self) -> None:
        self._aborted = True
        if self._writer is not None:
            self._writer.kill()
            self._writer.close()

    def _failure(self, exc: OSError) -> RemoteError:
        """The error to raise. FFmpeg may replace that of the writer by one of its own, without the reason."""
        if isinstance(exc, TimeoutError):
            return RemoteError(reasons.FROZEN.format(self._settings.output_timeout_s))
        reason = self._writer.reason if self._writer is not None else ""
        return RemoteError(reasons.ABORTED if self._aborted else reason or reasons.DIED)
