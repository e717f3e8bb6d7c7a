"""Finds audio streams whose format changes in mid-stream: rate, channels, or the codec's parameters.

An output's header has only one format, so such a stream cannot be copied. Only a sample of its packets is decoded.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from av.stream import Discard

from stream.picture.frames import Sound
from stream.settings import Settings
from stream.sources import container as media
from stream.sources.packets import packets
from stream.sources.ts_tables import read_tables

_EVERY_S = 0.1  # one packet is decoded per interval
_ADTS_SYNC = 0xFFF
_FIXED = "pcm_"  # the format of these codecs is in the container's header


def changing_sound(path: Path, settings: Settings, beat: Callable[[], None] = lambda: None) -> frozenset[int]:
    """The indexes of the audio streams of a file whose format changes. Reads the file to its end, or to where it is
    damaged. beat: called at each packet.

    Raises UnreadableMedia.
    """
    with media.open_container(path, settings) as container:
        for stream in container.streams:
            if stream.type != "audio":
                stream.discard = Discard.all
        watched: dict[int, _Format] = {
            s.index: _Format(s)
            for s in container.streams.audio
            if s.codec_context is not None and not s.codec_context.name.startswith(_FIXED)
        }
        if not watched:
            return frozenset()
        try:
            packet: Any
            for packet in packets(container, [container.streams[index] for index in watched]):
                beat()
                if packet.size:
                    watched[packet.stream.index].see(packet)
                if all(found.changes for found in watched.values()):
                    break
        except av.error.FFmpegError:
            pass
        known = read_tables(path).spans if container.format.name == "mpegts" else {}
        return frozenset(
            index for index, found in watched.items() if found.changes or container.streams[index].id in known
        )


class _Format:
    """The format of one stream. changes: whether another format than the first was seen, twice in a row, because a
    damaged packet may look like one."""

    def __init__(self, stream: av.AudioStream) -> None:
        self.changes = False
        self._decoder = stream.codec_context
        self._parameters = bytes(self._decoder.extradata or b"")
        self._first: object = None
        self._latest: object = None
        self._next_s = float("-inf")

    def see(self, packet: Sound) -> None:
        if packet.has_sidedata("new_extradata"):
            parameters = bytes(packet.get_sidedata("new_extradata"))
            self.changes |= self._parameters != parameters
            self._parameters = parameters
        if self._decoder.name == "aac" and (header := _adts(packet)):
            self._compare(header)
        elif packet.is_keyframe and self._is_due(packet):
            self._decode(packet)

    def _is_due(self, packet: Sound) -> bool:
        time = packet.pts if packet.dts is None else packet.dts
        now_s = self._next_s if time is None or packet.time_base is None else float(time * packet.time_base)
        due = now_s >= self._next_s or now_s < self._next_s - 2 * _EVERY_S  # the latter: the clock was restarted
        if due:
            self._next_s = now_s + _EVERY_S
        return due

    def _decode(self, packet: Sound) -> None:
        try:
            frames: list[Any] = self._decoder.decode(packet)
        except av.error.FFmpegError:
            return  # damaged, or it needs the packets before it
        for frame in frames[:1]:
            self._compare((frame.sample_rate, frame.layout.name))

    def _compare(self, found: object) -> None:
        if found == self._latest:
            self.changes |= self._first not in (None, found)
            self._first = found
        self._latest = found


def _adts(packet: Sound) -> bytes | None:
    """The bytes with profile, sample rate and channels of an AAC packet's ADTS header; None without such a header."""
    head = bytes(memoryview(packet)[:4])
    if len(head) < 4 or int.from_bytes(head[:2]) >> 4 != _ADTS_SYNC:
        return None
    return bytes((head[2] & 0xFD, head[3] & 0xC0))
