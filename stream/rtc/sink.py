"""The matted picture to everyone who watches one live video: encoded once for each codec, handed to each viewer.

Pictures are written in the pump's thread and encoded there; packets leave on the event loop. What no viewer asked for
is not encoded. Nothing leaves before the first picture was written. Sound comes in on the event loop and is held back
there by what the picture takes.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from statistics import median

import av
from aiortc import RTCRtpSender

from stream.meters import OutputMeter, OutputMeters, Stopwatch
from stream.picture.frames import Frame, VideoInfo, to_av
from stream.pump import Item, Warnings
from stream.rtc.encoder import CLOCK, LiveEncoder, RateControl, fitting_bps
from stream.rtc.rtp import Encoded, listen, round_trip_s
from stream.rtc.tracks import DelayLine, Packet, SoundTrack, VideoTrack, Wanted
from stream.settings import Settings
from stream.slot import Slot

_RATE = 30.0
_SOUND_CLOCK = Fraction(1, 48_000)


class LiveOutput:
    """One video's way out. Made, attached to and asked for meters on the event loop; written to by `pump`.

    slot: the hand-over for `pump`, to be given as `written`. extra_delay_s: hold sound back by so much more.
    """

    def __init__(self, settings: Settings, extra_delay_s: float = 0.0) -> None:
        self.warnings: Warnings = []
        self.slot: Slot[Item] = Slot()
        self.extra_delay_s = extra_delay_s
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._tracks: list[VideoTrack] = []
        self._senders: dict[VideoTrack, RTCRtpSender] = {}
        self._sounds: list[SoundTrack] = []
        self._hold = DelayLine(self._play_now)
        self._encoders: dict[str, _Encoding] = {}  # of the writing thread
        self._wanted = Wanted()
        self._meter = OutputMeter()
        self._encoding = Stopwatch()
        self._gone = 0  # pictures lost by viewers who have left

    # on the event loop

    @property
    def codecs(self) -> set[str]:
        """What is being encoded: a new viewer that takes one of these costs nothing more."""
        return {track.codec for track in self._tracks if track.codec}

    def video_track(self) -> VideoTrack:
        """A track for one more viewer. It gets pictures when its codec is known and its sender runs."""
        track = VideoTrack(lambda: self._asked(track))
        self._tracks.append(track)
        return track

    def sound_track(self) -> SoundTrack:
        track = SoundTrack()
        self._sounds.append(track)
        return track

    def attach(self, sender: RTCRtpSender, track: VideoTrack, codec: str) -> None:
        """`sender` sends `track` in `codec`: from now on its viewer's requests and estimates count."""
        track.codec = codec
        self._senders[track] = sender
        listen(sender, lambda: self._asked(track), lambda bps: self._estimated(track, bps))

    def detach(self, track: VideoTrack | SoundTrack | None) -> None:
        """The viewer has left. Of no effect the second time."""
        if isinstance(track, VideoTrack) and track in self._tracks:
            self._tracks.remove(track)
            self._gone += track.dropped
            self._senders.pop(track, None)
        elif isinstance(track, SoundTrack) and track in self._sounds:
            self._sounds.remove(track)
        if track is not None:
            track.stop()
        self._count_viewers()

    def play(self, sound: Encoded | None) -> None:
        """One packet of Opus as it came; it leaves after as long as pictures take at present."""
        if sound is not None and sound.codec == "opus" and self._sounds:
            packet = av.Packet(sound.data)
            packet.pts = sound.pts
            packet.time_base = _SOUND_CLOCK
            self._hold.put(packet, sound.arrived_s, self._meter.delay_s + self.extra_delay_s)

    def meters(self) -> OutputMeters:
        lost = self._gone + sum(track.dropped for track in self._tracks)
        dropped = {"encoder": self.slot.dropped, "viewer": lost}
        read = self._meter.read(len(self._tracks), {cause: n for cause, n in dropped.items() if n})
        return replace(read, encode_ms=self._encoding.take_ms(), round_trip_ms=self._round_trip_ms())

    def _round_trip_ms(self) -> float:
        found = [trip_s for sender in self._senders.values() if (trip_s := round_trip_s(sender)) is not None]
        return round(1000 * median(found), 1) if found else 0.0

    def _asked(self, track: VideoTrack) -> None:
        self._count_viewers()
        self._wanted.keyframe(track.codec)

    def _estimated(self, track: VideoTrack, bps: int) -> None:
        track.estimate_bps = bps
        self._count_viewers()

    def _count_viewers(self) -> None:
        """Tell the writing thread which codecs are wanted of it, and what the viewers of each can take."""
        wanted: dict[str, list[int]] = {}
        for track in self._tracks:
            if track.started and track.codec:
                wanted.setdefault(track.codec, []).extend(filter(None, [track.estimate_bps]))
        self._wanted.set(wanted)

    def _leave(self, codec: str, packet: Packet, key: bool, arrived_s: float) -> None:
        for track in self._tracks:
            if track.codec == codec:
                track.put(packet, key)
        self._meter.packet_sent(arrived_s, packet.size)

    def _play_now(self, packet: Packet) -> None:
        for track in self._sounds:
            track.put(packet)

    # in the pump's thread

    def open(self, info: VideoInfo) -> None:
        """Encoders open with the first picture somebody watches."""

    def write(self, item: Item) -> None:
        """Encode and send one picture. Raises EncodeError."""
        if not isinstance(item, Frame):
            return
        self._meter.frame_written(item.width, item.height)
        wanted = self._wanted.get()
        for gone in self._encoders.keys() - wanted.keys():
            del self._encoders[gone]
        if not wanted:
            return
        with self._encoding:
            picture = to_av(item, "yuv420p")
            picture.pts = round(item.pts * item.time_base / CLOCK)
            for codec, estimates in wanted.items():
                self._encode(codec, picture, estimates, item.arrived_s)

    def _encode(self, codec: str, picture: av.VideoFrame, estimates: list[int], arrived_s: float) -> None:
        size = (picture.width, picture.height)
        encoding = self._encoders.get(codec)
        if encoding is None or encoding.encoder.size != size:
            encoding = self._encoders[codec] = _Encoding(codec, size, self._settings)
        for packet in encoding(picture, self._wanted.take_keyframe(codec), estimates):
            packet.time_base = CLOCK
            self._soon(self._leave, codec, packet, packet.is_keyframe, arrived_s)

    def close(self) -> None:
        """Encoders are given up; whoever made the tracks detaches them."""
        self._encoders.clear()

    abort = close

    def _soon(self, work: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
            self._loop.call_soon_threadsafe(work, *arguments)


class _Encoding:
    """An encoder and what steers its rate."""

    def __init__(self, codec: str, size: tuple[int, int], settings: Settings) -> None:
        self._control = RateControl(fitting_bps(*size, _RATE, settings.max_bitrate))
        self.encoder = LiveEncoder(codec, *size, self._control.bps, settings)

    def __call__(self, picture: av.VideoFrame, key: bool, estimates: list[int]) -> list[Packet]:
        if self._control.follow(estimates):
            self.encoder.change_rate(self._control.bps)
        return list(self.encoder.encode(picture, key))
