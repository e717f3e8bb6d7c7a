"""Outputs that get encoded packets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from stream.errors import UnsupportedOutput
from stream.sinks.live.encodes import Subscription
from stream.sinks.live.output import Output
from stream.sinks.live.packets import Packet
from stream.sinks.live.ring import PACKETS, PacketRing


class PacketOutput(Output):
    """Sends encoded packets."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ring = PacketRing(PACKETS)
        self._share: Subscription | None = None
        self._encoding: tuple[int, Subscription | None] = 0, None  # frames dropped by earlier shares; the current one
        self._accepting = False

    def _check(self) -> None:
        if self._options.wants_alpha:
            scheme, path = self.spec.address.scheme, self.spec.address.rest
            name = Path(path).suffix if scheme == "file" else f"{scheme}://"
            raise UnsupportedOutput(f"{name} has no transparency; choose a background")
        self._writers.check(self.spec, self._settings)

    def _dropped(self) -> int:
        before, share = self._encoding
        return self._ring.dropped + before + (share.dropped if share is not None else 0)

    def _connection(self) -> None:
        self._prepare()
        share = self._share
        assert share is not None
        writer = None
        try:
            writer = self._writer = self._writers.from_spec(self._spec(), self._settings, share)
            writer.open(share.tracks)
            if self._protocol.retried:  # a connection starts with the newest frame
                self._accept(share)
            self._live()
            self._origin_s: Any = None
            self._transfer(self._ring, lambda packet: self._write(writer, packet))
            writer.close()
        except BaseException:
            if writer is not None:
                writer.abort()
            raise
        finally:
            self._writer = None
            self._release()

    def _prepare(self) -> None:
        if self._share is None:
            self._share = self._encodes.join(self.spec, self._protocol, self._put)
            self._encoding = self._encoding[0], self._share
            if not self._protocol.retried:
                self._accept(self._share)

    def _release(self) -> None:
        share, self._share, self._accepting = self._share, None, False
        if share is not None:
            self._encoding = self._encoding[0] + share.dropped, None
            share.leave()

    def _put(self, packet: Packet) -> None:
        if self._accepting:
            self._ring.put(packet)

    def _accept(self, share: Subscription) -> None:
        """Queue from the next keyframe on."""
        self._ring.restart()
        share.request_key()
        self._accepting = True

    def _write(self, writer: Any, packet: Packet) -> None:
        """Write a packet with times that start at 0 with the first keyframe."""
        if self._origin_s is None:
            self._origin_s = packet.dts * packet.time_base
        start = round(self._origin_s / packet.time_base)
        if packet.dts < start:
            return
        writer.write(replace(packet, pts=packet.pts - start, dts=packet.dts - start))
        self._frames += packet.kind == "video"
        self._sent.add(len(packet.data), packet.arrived_s)
