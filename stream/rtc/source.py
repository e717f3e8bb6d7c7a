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
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import av

from stream.errors import MatteboxError, NoVideoStream
from stream.meters import Recent, Stopwatch
from stream.picture.canvas import fitted
from stream.picture.frames import Frame, VideoInfo
from stream.picture.ingest import Ingest, Shape
from stream.picture.timing import Splices, Timeline
from stream.pump import Item, Warnings
from stream.rtc.aiortc_overrides import Encoded
from stream.rtc.decoding import CLOCK, EncodedQueue, PictureDecoder
from stream.settings import Settings
from stream.slot import Slot

_RATE = Fraction(30)


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
        self._queue = EncodedQueue(lambda: self.slot.closed, request_keyframe, self.dropped)
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


class _Decoder:
    """Encoded frames in, `Frame`s out: one size, BT.709, increasing times from 0."""

    def __init__(self, settings: Settings, request_keyframe: Callable[[], None], dropped: Counter[str]) -> None:
        self._pictures, self._dropped = PictureDecoder(settings, request_keyframe, dropped), dropped
        self._timeline = Timeline(CLOCK, round(1 / (_RATE * CLOCK)), Splices(Fraction(0)))
        self._canvas = _LargestSize(settings.live_pixels)

    def __call__(self, encoded: Encoded) -> Iterator[Frame]:
        for picture in self._pictures(encoded):
            picture.pts, picture.time_base = self._timeline.place(encoded.pts), CLOCK
            for frame in self._scaled(picture):
                yield replace(frame, arrived_s=encoded.arrived_s)

    def _scaled(self, picture: av.VideoFrame) -> list[Frame]:
        try:
            return list(self._canvas(picture))
        except (MatteboxError, av.error.FFmpegError):  # such as an invalid size, from damaged packets
            self._dropped["decode"] += 1
            return []


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
