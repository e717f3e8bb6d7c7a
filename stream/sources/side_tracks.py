"""The subtitles and data tracks of a file, read by a separate demuxer, independently of the frames.

Nothing is decoded. The demuxer skips picture and sound; with the index of MP4 and MOV it reads little else. In MPEG-TS
and MPEG-PS it reads the times of picture and sound, because these show where the clock of the file jumps or restarts.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Discard, Disposition

from stream import limits
from stream.picture.extras import SidePacket, SideTrack
from stream.picture.location import has_location
from stream.picture.timing import Splices, plausible_rate
from stream.settings import Settings
from stream.sources import container as media
from stream.sources.damaged_times import TimeRepair
from stream.sources.extent import origin_s
from stream.sources.packets import packets
from stream.sources.reader import LEAP_S, UNINDEXED
from stream.sources.track_clock import TrackClock, sound_clock

_EMPTY_CUE = b"\0\0"  # of mov_text: fills the time between two cues; muxers write their own


class OpenedTracks:
    """The side tracks of the file at `path`, from `start_s` to `end_s`, with times relative to `start_s`.

    location: whether subtitle cues with locations, such as those of drones, are passed on. timed_by: the indexes of the
    streams of picture and sound that are read. Raises UnreadableMedia.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        tracks: Sequence[SideTrack],
        start_s: float,
        end_s: float | None,
        location: bool,
        timed_by: Sequence[int] = (),
    ) -> None:
        self._container = media.open_container(path, settings)
        indexed = self._container.format.name not in UNINDEXED
        read = () if indexed else timed_by
        for stream in (*self._container.streams.video, *self._container.streams.audio):
            if not stream.disposition & Disposition.attached_pic and stream.index not in read:
                stream.discard = Discard.all
        self._tracks = {track.index: track for track in tracks}
        origin = origin_s(self._container) + Fraction(start_s).limit_denominator(1_000_000)
        self._splices = Splices(origin, None if indexed else LEAP_S)
        self._clocks = {index: self._clock(self._container.streams[index]) for index in read}
        self._window_s = None if end_s is None else Fraction(end_s - start_s).limit_denominator(1_000_000)
        self._location = location

    def template(self, index: int) -> Any:
        return self._container.streams[index]

    def picture(self, index: int) -> Any:
        """None also if the picture is too large. FFmpeg returns cover pictures before all other packets."""
        try:
            packet = next(packets(self._container, [self._container.streams[index]]), None)
        except av.error.FFmpegError:
            return None
        return packet if packet and 0 < packet.size <= limits.ATTACHMENT_BYTES else None

    def packets(self) -> Iterator[SidePacket]:
        """A cue that begins before the start, or ends after the end, is cut. Ends early where the file is damaged."""
        streams = [self._container.streams[index] for index in (*self._tracks, *self._clocks)]
        if not self._tracks:
            return
        latest_s = dict.fromkeys(self._tracks, Fraction(0))
        found = packets(self._container, streams)
        try:
            for packet in TimeRepair().packets(found) if self._clocks else found:
                if clock := self._clocks.get(packet.stream.index):
                    clock.locate(packet.dts if packet.pts is None else packet.pts)
                    continue
                placed = self._placed(packet)
                if placed is not None and placed.start_s >= latest_s[placed.index]:
                    latest_s[placed.index] = placed.start_s
                    yield placed
        except av.error.FFmpegError:
            return

    def close(self) -> None:
        self._container.close()

    def _clock(self, stream: Any) -> TrackClock:
        if stream.type == "audio":
            return sound_clock(stream, self._splices)
        return TrackClock(stream.time_base, plausible_rate(stream.average_rate, stream.guessed_rate), self._splices)

    def _placed(self, packet: Any) -> SidePacket | None:
        ticks, clock = packet.pts if packet.pts is not None else packet.dts, packet.time_base
        if ticks is None or not clock or not 0 < packet.size <= limits.SIDE_PACKET_BYTES:
            return None
        track = self._tracks[packet.stream.index]
        if track.kind == "subtitle" and self._is_left_out(track, packet):
            return None
        begin_s = ticks * clock + self._splices.recent()[-1]
        end_s = begin_s + max(0, packet.duration or 0) * clock
        if self._window_s is not None:
            end_s = min(end_s, self._window_s)
            if begin_s >= self._window_s:
                return None
        if begin_s < 0 and (end_s <= 0 or track.kind == "data"):
            return None
        start_s = max(begin_s, Fraction(0))
        return SidePacket(track.index, start_s, max(Fraction(0), end_s - start_s), packet)

    def _is_left_out(self, track: SideTrack, packet: Any) -> bool:
        content = bytes(packet)
        if track.codec == "mov_text" and content[:2] == _EMPTY_CUE:
            return True
        return not self._location and has_location(content.decode(errors="replace"))
