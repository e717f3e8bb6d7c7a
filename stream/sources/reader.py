"""Decodes a range of one file: video frames, and audio packets unchanged, on one corrected clock."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from stream.picture.captions import has_captions
from stream.picture.display_matrix import Displays
from stream.picture.frames import Sound
from stream.picture.gaps import GapFinder
from stream.picture.timing import Splices, plausible_rate
from stream.settings import Settings
from stream.sources import container as media
from stream.sources.damaged_times import TimeRepair
from stream.sources.decode_health import DecodeHealth
from stream.sources.extent import WRAP, origin_s
from stream.sources.packets import packets
from stream.sources.presentation import PresentationTimes
from stream.sources.raw_streams import is_raw, raw_rate
from stream.sources.track_clock import TrackClock, sound_clock
from stream.sources.ts_tables import Tables, read_tables
from stream.sources.video_streams import sounds, video_streams

Raw = av.VideoFrame | Sound
TIME_TOLERANCE_S = 1e-6  # for comparing times as floats
_PRIMING_S = 0.1  # audio may start this long before the video: the decoder's priming samples
# In these containers seeking by time does not lead to a keyframe, and timestamps may repeat.
UNINDEXED = ("mpegts", "mpeg")
# AVI stores no times, GIF how long each frame is meant to stay, and Theora no frames equal to the one before.
_WITHOUT_GAPS = ("avi", "gif", "ogg")
LEAP_S = Fraction(10)  # their clock may jump ahead too; FFmpeg's programs have the same threshold
_NEAR_S = 10  # around a wrap of the clock
_LOOK_BACK_S = (0.0, 2.0, 8.0, 32.0, 128.0, float("inf"))


class Reader:
    """Iterate for `av.VideoFrame`s and audio packets from `start_s` to `end_s`, with times relative to `start_s`.

    health: decoding errors. gaps: missing frames, by the times of packets, whether or not they can be decoded.
    picture_reached_s: end time of the last frame. reached_s: that of the last frame or audio packet.
    sound: the audio streams. unknown_sound: names of those without a decoder. splices: of joined recordings. repair:
    of damaged times. captions: whether a frame with closed captions was decoded.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: av.VideoStream,
        settings: Settings,
        start_s: float = 0.0,
        end_s: float | None = None,
    ) -> None:
        self._container, self._stream, self._settings = container, stream, settings
        self._decoder = self._own_decoder = media.decoder(stream, settings)
        self._codec = ""  # of the decoder, if it is not the stream's own
        self._start_s = start_s
        self._window_s = float("inf") if end_s is None else max(0.0, end_s - start_s)
        self._counted = is_raw(container)  # frames have no times, and are decoded from the start
        if self._counted:
            self.rate = raw_rate(container, stream)
            self.time_base = 1 / self.rate
        else:
            self.rate = plausible_rate(stream.average_rate, stream.guessed_rate)
            self.time_base = stream.time_base or Fraction(1, 90_000)
        self._count = 0
        self.captions = False
        self.sound = sounds(container, stream)
        self.unknown_sound = tuple(
            f"sound track {number}" for number, s in enumerate(container.streams.audio, 1) if s.codec_context is None
        )
        self.health = DecodeHealth()
        self._timed = container.format.name != "avi"
        self._indexed = container.format.name not in UNINDEXED
        self._first_dts: int | None = None
        self._delay: int | None = None
        self._displays = Displays()  # valid after a seek too, because a keyframe resets it
        if not self._timed:
            self._decoder.thread_type = "SLICE"  # frame threading would delay frames by more than reordering
        self._start_clocks()

    @property
    def offset(self) -> int:
        """Ticks added to the file's own times where they need no correction."""
        return offset(self._container, self.time_base, self._start_s)

    @property
    def picture_reached_s(self) -> float:
        return self._picture.now_s + max(float(1 / self.rate), self._last_duration_s)

    @property
    def reached_s(self) -> float:
        return max([self.picture_reached_s, *(track.now_s + float(1 / self.rate) for track in self._sound.values())])

    def __iter__(self) -> Iterator[Raw]:
        """Where no frame begins in the range, the frame that is visible at its start is passed on, at time 0."""
        empty = True
        for item in self._decode() if self._from_beginning() else self._decode_range():
            empty = empty and not isinstance(item, av.VideoFrame)
            yield item
        if empty and self._before is not None and self._picture.now_s > -self._last_duration_s:
            self._before.pts = 0
            yield self._before

    def _decode_range(self) -> Iterator[Raw]:
        if not self._timed:
            self._read_to_frame(self._decode())  # to measure the decoder's delay
        for back_s in _LOOK_BACK_S if self._indexed else _LOOK_BACK_S[1:]:
            self._seek(self._start_s - back_s)
            items = self._decode()
            ahead = self._read_to_frame(items)
            if self._begins_at_start(ahead) or back_s >= self._start_s:
                yield from ahead
                yield from items
                return

    def _from_beginning(self) -> bool:
        """Whether a part is found by decoding from the start: seeking fails, misses keyframes, or would skip the sound
        that comes before the first keyframe."""
        first_s = self._stream.start_time * self.time_base if self._stream.start_time is not None else 0
        if self._start_s == 0 or self._start_s <= first_s - origin_s(self._container):
            return True
        name = self._container.format.name
        return self._counted or name == "rm" or (name == "asf" and len(video_streams(self._container)) > 1)

    def sounds(self) -> Iterator[Sound]:
        """Only the audio packets of the iteration; no video is decoded."""
        if not self._from_beginning():
            self._seek(self._start_s - _LOOK_BACK_S[1])
        for packet in self._demux():
            if track := self._sound.get(packet.stream.index):
                packet.pts = packet.dts = track.locate(packet.dts if packet.pts is None else packet.pts)
                if self._in_range(track):
                    yield packet
            if all(self._past_end(track) for track in self._sound.values()):
                return

    def _read_to_frame(self, items: Iterator[Raw]) -> list[Raw]:
        ahead: list[Raw] = []
        for item in items:
            ahead.append(item)
            if isinstance(item, av.VideoFrame):
                break
        return ahead

    def _begins_at_start(self, ahead: list[Raw]) -> bool:
        """Whether no frame was missed: without an index, seeking may land after a keyframe."""
        if self._before is not None and self._picture.now_s >= 0:
            return True  # the frames on both sides of the start were decoded
        first = ahead[-1] if ahead else None
        return isinstance(first, av.VideoFrame) and self._picture.now_s < min(1.5 / self.rate, 0.5)

    def _seek(self, target_s: float) -> None:
        target_s = max(-1.0, target_s)  # before the first frame, or seeking by time may miss it
        target = origin_s(self._container) + Fraction(target_s).limit_denominator(1_000_000)
        if target_s < 0 and not self._indexed:
            self._container.seek(0, unsupported_byte_offset=True, stream=self._stream)
        else:
            # In this stream: FFmpeg might choose another one, whose keyframes are at other times.
            self._container.seek(int(target / self.time_base), backward=True, stream=self._stream)
        self._codec, self._decoder = "", self._own_decoder
        self._decoder.flush_buffers()
        self.health = DecodeHealth()
        self._start_clocks()

    def _start_clocks(self) -> None:
        origin = Fraction(0) if self._counted else origin_s(self._container)
        start = origin + Fraction(self._start_s).limit_denominator(1_000_000)
        self.repair = TimeRepair()
        self._presentation = PresentationTimes()
        self.splices = Splices(start, None if self._indexed else LEAP_S)
        self._picture = TrackClock(self.time_base, self.rate, self.splices)
        self._sound = {s.index: sound_clock(s, self.splices) for s in self.sound}
        self._last_duration_s = 0.0
        self._before: av.VideoFrame | None = None  # the last frame before the range
        self._noted = 0
        self.gaps = GapFinder(self.time_base, float(self.offset * self.time_base) + self._start_s, LEAP_S)

    def _decode(self) -> Iterator[Raw]:
        for packet in self._demux():
            if track := self._sound.get(packet.stream.index):
                packet.pts = packet.dts = track.locate(packet.dts if packet.pts is None else packet.pts)
                if self._in_range(track):
                    yield packet
            elif not self._past_end(self._picture):
                self._note_time(packet)
                self._picture.announce(packet.pts)
                yield from self._change_codec(packet)
                yield from self._pictures(packet)
            if self._past_end(self._picture) and all(self._past_end(track) for track in self._sound.values()):
                return
        yield from self._pictures(None)

    def _demux(self) -> Iterator[Any]:
        found = (packet for packet in packets(self._container, [self._stream, *self.sound]) if packet.size)
        try:
            yield from found if self._indexed else self.repair.packets(found)
        except av.error.FFmpegError:
            self.health.cut = True

    def other_codec(self, packet: Any) -> str:
        """See `VideoInfo.other_codec`; also for packets of video."""
        return self.tables.codec(packet.stream.id, packet.pos)

    @cached_property
    def tables(self) -> Tables:
        """Of an MPEG-TS; empty for other files."""
        name = self._container.name.removeprefix("file:")
        return read_tables(Path(name)) if self._container.format.name == "mpegts" else Tables()

    def _change_codec(self, packet: Any) -> Iterator[av.VideoFrame]:
        """Switch to the decoder for this packet. Yields the last frames of the one before."""
        codec = self.other_codec(packet)
        if codec == self._codec:
            return
        yield from self._pictures(None)
        self._codec, self._decoder = codec, self._own_decoder
        if codec:
            self._decoder = media.decoder_of(codec, self._settings)
        else:
            self._decoder.flush_buffers()

    def _pictures(self, packet: Any) -> Iterator[av.VideoFrame]:
        """The frames that the decoder returns for a packet; None: the last ones."""
        if self._first_dts is None and packet is not None:
            self._first_dts = packet.dts
        try:
            pictures = self._decoder.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            if self._start_s == 0 or self._picture.begun:  # after a seek the first frames may fail
                self.health.lose_one()
            return
        for picture in pictures:
            self._displays.apply(picture)
            self.captions = self.captions or has_captions(picture)
            if self._timed:
                pts = self._presentation.choose(picture.pts, picture.dts)
            else:
                pts = self._untimed_pts(picture, packet)
            if self._counted:
                pts, self._count = self._count, self._count + 1
            time = self._picture.place_or_drop(pts)
            if time is None:
                self.health.overlapping += 1
                continue
            picture.pts, picture.time_base = time, self.time_base
            self._last_duration_s = 0.0 if self._counted else float((picture.duration or 0) * self.time_base)
            self.health.take(picture)
            if self._in_range(self._picture):
                yield picture
            elif self._picture.now_s < 0:
                self._before = picture

    def _note_time(self, packet: Any) -> None:
        """Pass the packet's time to `gaps`, if it is in the range."""
        if self._counted or packet.pts is None or self._container.format.name in _WITHOUT_GAPS:
            self.gaps.take_untimed()
        elif not packet.is_discard:
            ticks = packet.pts
            if abs(ticks + WRAP - self._noted) * self.time_base < _NEAR_S and not self._indexed:
                ticks += WRAP  # the clock has wrapped, and this frame is near the wrap
            self._noted = ticks
            since_start = ticks + self.offset
            if (self._start_s == 0 or since_start >= 0) and since_start * self.time_base < self._window_s:
                self.gaps.take(ticks)

    def _untimed_pts(self, picture: av.VideoFrame, packet: Any) -> int | None:
        """AVI stores no presentation times. Frames come in order, each with the time of the packet that made the
        decoder output it; its own time is that less the decoder's delay, which the first frame shows."""
        if packet is None or picture.dts is None:
            return None
        if self._delay is None:
            self._delay = picture.dts - (self._first_dts or 0)
        return picture.dts - self._delay

    def _in_range(self, track: TrackClock) -> bool:
        earliest_s = -TIME_TOLERANCE_S if self._start_s > 0 else -_PRIMING_S
        return track.now_s > earliest_s and not self._past_end(track)

    def _past_end(self, track: TrackClock) -> bool:
        return track.now_s > self._window_s - TIME_TOLERANCE_S


def offset(container: InputContainer, time_base: Fraction, start_s: float) -> int:
    """Ticks to add to the file's own times, so that time 0 is `start_s` seconds after the start of the file."""
    start = Fraction(start_s).limit_denominator(1_000_000)
    return round(-(origin_s(container) + start) / time_base)
