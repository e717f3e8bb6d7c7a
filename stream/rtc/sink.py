"""The output of one live video: frames are encoded once per codec and sent to all viewers.

Frames are written, converted once to the colours of WebRTC and encoded in the pump's thread; packets are sent on the
event loop. Only codecs that a viewer uses are encoded. Viewers of colour above alpha have encoders of their own, one
per codec, which exist only while such a viewer is connected. Nothing is sent before the first frame was written. Audio
arrives on the event loop and is delayed there by the latency of the video.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import av
from aiortc import RTCRtpSender

from stream.meters import OutputMeter, OutputMeters, Stopwatch
from stream.picture.frames import Frame, VideoInfo
from stream.pump import Item, Warnings
from stream.rtc.aiortc_overrides import Encoded, intercept_feedback, report_arrival_times, round_trip_s
from stream.rtc.encoder import CLOCK, LiveEncoder, RateControl, fitting_bps
from stream.rtc.pictures import Pictures
from stream.rtc.sound import SoundDelay
from stream.rtc.tracks import EncodeRequests, Packet, SoundTrack, Variant, VideoTrack
from stream.settings import Settings
from stream.slot import Slot

_RATE = 30.0


class LiveOutput:
    """The sink of one live video, for any number of viewers. Used on the event loop, except by `pump`, which writes.

    slot: the hand-over to pass to `pump` as `written`. extra_delay_s: additional delay of the audio.
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
        self._sound_delay = SoundDelay(self._send_sound, self._picture_delay_s)
        self._encoders: dict[Variant, _Encoding] = {}  # used by the writing thread only
        self._pictures = Pictures()  # likewise
        self._requests = EncodeRequests()
        self._meter = OutputMeter()
        self._encoding = Stopwatch()
        self._dropped_before = 0  # frames dropped by viewers who have left

    # on the event loop

    @property
    def codecs(self) -> set[str]:
        """Codecs of the viewers of the published view: a new one with one of these needs no further encoder."""
        return self._codecs_of(stacked=False)

    @property
    def stacked_codecs(self) -> set[str]:
        """The same, of the viewers of colour above alpha."""
        return self._codecs_of(stacked=True)

    @property
    def wants_stack(self) -> bool:
        """Whether a viewer of colour above alpha is connected: frames need a stack in `others`. Thread-safe."""
        return any(variant.stacked for variant in self._requests.get())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the newest frame; 0 before the first."""
        return self._meter.size

    def video_track(self, stacked: bool = False) -> VideoTrack:
        """A track for a new viewer, of the published view or of colour above alpha.

        It gets frames once its codec is known and its sender runs.
        """
        track = VideoTrack(lambda: self._keyframe_requested(track), stacked)
        self._tracks.append(track)
        return track

    def sound_track(self) -> SoundTrack:
        track = SoundTrack()
        self._sounds.append(track)
        return track

    def attach(self, sender: RTCRtpSender, track: VideoTrack | SoundTrack, codec: str, max_blocks: int = 0) -> None:
        """Tell that `sender` sends `track` in `codec`: its viewer's requests and estimates count from now on.

        max_blocks: the largest stack that the viewer decodes, in macroblocks; 0: any.
        Video and sound report times on one clock, that of their arrival here, by which players synchronize them.
        """
        report_arrival_times(sender, lambda: track.age_s)
        if isinstance(track, SoundTrack):
            return
        track.variant = Variant(codec, track.stacked, max_blocks)
        self._senders[track] = sender
        intercept_feedback(
            sender, lambda: self._keyframe_requested(track), lambda bps: self._bandwidth_estimated(track, bps)
        )

    def detach(self, track: VideoTrack | SoundTrack | None) -> None:
        """Remove the track of a viewer who has left. Idempotent."""
        if isinstance(track, VideoTrack) and track in self._tracks:
            self._tracks.remove(track)
            self._dropped_before += track.dropped
            self._senders.pop(track, None)
        elif isinstance(track, SoundTrack) and track in self._sounds:
            self._sounds.remove(track)
        if track is not None:
            track.stop()
        self._update_requests()

    def play(self, sound: Encoded | None) -> None:
        """Send one Opus packet, delayed by the current latency of the video."""
        if sound is not None and sound.codec == "opus" and self._sounds:
            self._sound_delay.put(sound)

    def meters(self) -> OutputMeters:
        by_viewers = self._dropped_before + sum(track.dropped for track in self._tracks)
        dropped = {"encoder": self.slot.dropped, "viewer": by_viewers}
        read = self._meter.read(len(self._tracks), {cause: n for cause, n in dropped.items() if n})
        return replace(read, encode_ms=self._encoding.take_ms(), round_trip_ms=self._round_trip_ms())

    def _round_trip_ms(self) -> float:
        round_trips = [trip_s for sender in self._senders.values() if (trip_s := round_trip_s(sender)) is not None]
        return round(1000 * median(round_trips), 1) if round_trips else 0.0

    def _keyframe_requested(self, track: VideoTrack) -> None:
        self._update_requests()
        if track.variant is not None:
            self._requests.keyframe(track.variant)

    def _bandwidth_estimated(self, track: VideoTrack, bps: int) -> None:
        track.estimate_bps = bps
        self._update_requests()

    def _update_requests(self) -> None:
        """Tell the writing thread what to encode, with the bandwidth estimates of its viewers."""
        estimates_bps: dict[Variant, list[int]] = {}
        for track in self._tracks:
            if track.started and track.variant:
                estimates_bps.setdefault(track.variant, []).extend(filter(None, [track.estimate_bps]))
        self._requests.set(estimates_bps)

    def _codecs_of(self, stacked: bool) -> set[str]:
        variants = (track.variant for track in self._tracks if track.stacked is stacked)
        return {variant.codec for variant in variants if variant is not None}

    def _send(self, variant: Variant, packet: Packet, key: bool, arrived_s: float) -> None:
        for track in self._tracks:
            if track.variant == variant:
                track.put(packet, key)
        self._meter.packet_sent(arrived_s, packet.size)

    def _picture_delay_s(self) -> float | None:
        return self._meter.delay_s + self.extra_delay_s if self._meter.delay_s else None

    def _send_sound(self, packet: Packet) -> None:
        for track in self._sounds:
            track.put(packet)

    # in the pump's thread

    def open(self, info: VideoInfo) -> None:
        """Encoders open with the first frame that has a viewer."""

    def write(self, item: Item) -> None:
        """Encode and send one frame. Raises EncodeError."""
        if not isinstance(item, Frame):
            return
        self._meter.frame_written(item.width, item.height)
        requested = self._requests.get()
        for unused in self._encoders.keys() - requested.keys():
            del self._encoders[unused]
        if not requested:
            return
        with self._encoding:
            for variant, picture in self._pictures.of(item, requested):
                self._encode(variant, picture, requested[variant], item.arrived_s)

    def _encode(self, variant: Variant, picture: av.VideoFrame, estimates: list[int], arrived_s: float) -> None:
        size = (picture.width, picture.height)
        encoding = self._encoders.get(variant)
        if encoding is None or encoding.encoder.size != size:
            encoding = self._encoders[variant] = _Encoding(variant.codec, size, self._settings)
        for packet in encoding(picture, self._requests.take_keyframe(variant), estimates):
            packet.time_base, packet.opaque = CLOCK, arrived_s
            self._call_on_loop(self._send, variant, packet, packet.is_keyframe, arrived_s)

    def close(self) -> None:
        """Close the encoders; tracks are detached by the code that created them."""
        self._encoders.clear()

    abort = close

    def _call_on_loop(self, work: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
            self._loop.call_soon_threadsafe(work, *arguments)


class _Encoding:
    """An encoder and its rate control."""

    def __init__(self, codec: str, size: tuple[int, int], settings: Settings) -> None:
        self._control = RateControl(fitting_bps(*size, _RATE, settings.max_bitrate))
        self.encoder = LiveEncoder(codec, *size, self._control.bps, settings)

    def __call__(self, picture: av.VideoFrame, key: bool, estimates: list[int]) -> list[Packet]:
        if self._control.follow(estimates):
            self.encoder.change_rate(self._control.bps)
        return list(self.encoder.encode(picture, key))
