"""The camera of a WebRTC client as a source: every frame is decoded, only the newest is passed on.

Encoded frames arrive on the event loop. The pump's reading thread decodes all of them, because each depends on the one
before. Frames that are not taken in time are replaced in `slot`, which is passed to `pump` as `read`.

Size: browsers change it in mid-stream with the bandwidth. The video keeps the largest size seen so far and smaller
frames are scaled up; it changes with a larger frame or another aspect ratio (a phone was turned). Rotation: the header
extension for it is not negotiated, so that browsers rotate the pixels themselves; orientation messages (SEI) in H.264
are applied.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import cast

import av

from stream.errors import MatteboxError, NoVideoStream
from stream.meters import Recent, Stopwatch
from stream.picture.bt601 import assume_bt601
from stream.picture.canvas import fitted
from stream.picture.display_matrix import Displays
from stream.picture.frames import Frame, VideoInfo
from stream.picture.ingest import Ingest, Shape
from stream.picture.timing import Splices, Timeline
from stream.pump import Item, Warnings
from stream.rtc.aiortc_overrides import Encoded
from stream.settings import Settings
from stream.slot import Slot

CLOCK = Fraction(1, 90_000)
_RATE = Fraction(30)
_LATE_S = 0.5  # once frames have waited this long, all are dropped and a keyframe is requested
_REQUEST_INTERVAL_S = 0.5
_DECODERS = {"H264": "h264", "VP8": "libvpx"}


class WebRtcSource:
    """One incoming video.

    slot: the hand-over for `pump`; `slot.dropped` counts frames the transform was too slow for. dropped: frames lost
    before that, by cause ("decode"). rate: frames received. decoding: time per frame. received_s: when the last frame
    arrived, by `time.monotonic`. `info` raises NoVideoStream if the connection ends before its first frame.
    """

    def __init__(self, settings: Settings, request_keyframe: Callable[[], None]) -> None:
        self.warnings: Warnings = []
        self.slot: Slot[Item] = Slot()
        self.dropped: Counter[str] = Counter()
        self.rate = Recent()
        self.decoding = Stopwatch()
        self.received_s = time.monotonic()
        self._queue = _EncodedQueue(self.slot, request_keyframe, self.dropped)
        self._decoder = _Decoder(settings, request_keyframe, self.dropped)
        self._frames = self._decoded()
        self._first: Frame | None = None
        self._opening = threading.Lock()

    def take(self, encoded: Encoded | None) -> None:
        """Take one encoded frame; None at the end. Called on the event loop; never blocks."""
        if encoded is None:
            self.close()
            return
        self.received_s = encoded.arrived_s
        self.rate.tick()
        self._queue.put(encoded)

    @property
    def info(self) -> VideoInfo:
        """Properties of the video; blocks until its first frame."""
        with self._opening:
            if self._first is None:
                self._first = next(self._frames, None)
        if self._first is None:
            raise NoVideoStream("the connection ended before its first frame")
        return VideoInfo(self._first.width, self._first.height, CLOCK, _RATE)

    def __iter__(self) -> Iterator[Frame]:
        if self._first is not None:
            yield self._first
        yield from self._frames

    def close(self) -> None:
        """End the video. From any thread; idempotent."""
        self._queue.close()

    def _decoded(self) -> Iterator[Frame]:
        for encoded in self._queue:
            with self.decoding:
                frames = list(self._decoder(encoded))
            yield from frames


class _EncodedQueue:
    """Encoded frames between the event loop and the decoding thread.

    Frames depend on those before them: if the thread falls behind, all waiting frames are dropped, and all that arrive
    until the next keyframe.
    """

    def __init__(self, slot: Slot[Item], request_keyframe: Callable[[], None], dropped: Counter[str]) -> None:
        self._waiting: deque[Encoded] = deque()
        self._changed = threading.Condition()
        self._slot, self._request_keyframe, self._dropped = slot, request_keyframe, dropped
        self._closed, self._broken, self._next_request_s = False, False, 0.0

    def put(self, encoded: Encoded) -> None:
        with self._changed:
            if self._waiting and encoded.arrived_s - self._waiting[0].arrived_s > _LATE_S:
                self._dropped["decode"] += len(self._waiting)
                self._waiting.clear()
                self._broken = True
            if self._broken and not encoded.is_keyframe:
                self._dropped["decode"] += 1
                self._request_again(encoded.arrived_s)
                return
            self._broken = False
            self._waiting.append(encoded)
            self._changed.notify()

    def _request_again(self, now_s: float) -> None:
        if now_s >= self._next_request_s:
            self._next_request_s = now_s + _REQUEST_INTERVAL_S
            self._request_keyframe()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def __iter__(self) -> Iterator[Encoded]:
        """Until closed, or until the slot is: the end of a video must not wait for a silent camera."""
        while not self._slot.closed:
            with self._changed:
                if not self._waiting and not self._closed:
                    self._changed.wait(0.25)
                if self._closed:
                    return
                encoded = self._waiting.popleft() if self._waiting else None
            if encoded is not None:
                yield encoded


class _Decoder:
    """Encoded frames in, `Frame`s out: one size, BT.709, increasing times from 0."""

    def __init__(self, settings: Settings, request_keyframe: Callable[[], None], dropped: Counter[str]) -> None:
        self._settings, self._request_keyframe, self._dropped = settings, request_keyframe, dropped
        self._timeline = Timeline(CLOCK, round(1 / (_RATE * CLOCK)), Splices(Fraction(0)))
        self._codec = ""
        self._displays = Displays()
        self._canvas = _LargestSize(settings.live_pixels)

    def __call__(self, encoded: Encoded) -> Iterator[Frame]:
        for picture in self._decode(encoded):
            picture.pts, picture.time_base = self._timeline.place(encoded.pts), CLOCK
            self._displays.apply(picture)
            assume_bt601(picture, encoded.codec)
            for frame in self._scaled(picture):
                yield replace(frame, arrived_s=encoded.arrived_s)

    def _scaled(self, picture: av.VideoFrame) -> list[Frame]:
        try:
            return list(self._canvas(picture))
        except (MatteboxError, av.error.FFmpegError):  # such as an invalid size, from damaged packets
            self._dropped["decode"] += 1
            return []

    def _decode(self, encoded: Encoded) -> list[av.VideoFrame]:
        if encoded.codec != self._codec:
            self._codec, self._context = encoded.codec, _decoder(encoded.codec, self._settings)
        packet = av.Packet(encoded.data)
        packet.pts, packet.time_base = encoded.pts, CLOCK
        try:
            return self._context.decode(packet)
        except av.error.FFmpegError:
            self._dropped["decode"] += 1
            self._request_keyframe()
            return []


def _decoder(codec: str, settings: Settings) -> av.VideoCodecContext:
    """A decoder with one thread: no frame delay, and many videos do not get a thread per core each."""
    context = cast(av.VideoCodecContext, av.CodecContext.create(_DECODERS[codec], "r"))
    context.thread_count = 1
    context.options = {"max_pixels": str(settings.max_pixels)}
    return context


class _LargestSize:
    """Scales frames of changing size to the largest size seen, while the aspect ratio stays the same."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._ingest: Ingest | None = None

    def __call__(self, picture: av.VideoFrame) -> Iterator[Frame]:
        width, height = Shape.of(picture, Fraction(1)).upright_size()
        if self._ingest is None or not self._holds(width, height, self._ingest.size):
            self._ingest = Ingest(picture, None, *self._fitted(width, height))
        return self._ingest.push(picture)

    def _holds(self, width: int, height: int, size: tuple[int, int]) -> bool:
        same_aspect = abs(width * size[1] / (height * size[0]) - 1) < 0.04
        return same_aspect and (width * height <= size[0] * size[1] * 1.02 or self._full(size))

    def _full(self, size: tuple[int, int]) -> bool:
        return size[0] * size[1] > 0.95 * self._max_pixels

    def _fitted(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) to scale to; (0, 0) where the frame is within the limit."""
        if width * height <= self._max_pixels:
            return 0, 0
        return fitted((width, height), (0, 0), self._max_pixels)
