"""A camera at the other end of a WebRTC connection, as a source: every picture is decoded, the newest is handed on.

Pictures come in on the event loop, encoded; the pump's reading thread decodes them, because each needs the one before.
What nobody takes in time is replaced in `slot`, which is to be given to `pump` as `read`.

Size: a browser changes it in mid-stream as its network allows. The video keeps the largest size seen so far, smaller
pictures are scaled up to it; it changes when a larger one comes or the shape does (a phone was turned). Rotation: the
header extension that would carry it is not among those agreed on, so that browsers turn the pixels themselves.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import cast

import av
from av.video.reformatter import Colorspace

from stream.errors import NoVideoStream
from stream.meters import Recent, Stopwatch
from stream.picture.canvas import fitted
from stream.picture.frames import Frame, VideoInfo
from stream.picture.ingest import Ingest
from stream.picture.timing import Splices, Timeline
from stream.pump import Item, Warnings
from stream.rtc.rtp import Encoded
from stream.settings import Settings
from stream.slot import Slot

CLOCK = Fraction(1, 90_000)
_RATE = Fraction(30)
_LATE_S = 0.5  # older than this, waiting pictures are given up and a keyframe is asked for
_ASK_EVERY_S = 0.5
_DECODERS = {"H264": "h264", "VP8": "libvpx"}


class WebRtcSource:
    """One incoming video.

    slot: the hand-over for `pump`; `slot.dropped` counts what the transform was too slow for. dropped: pictures lost
    before that, by cause ("decode"). rate: pictures that came in. decoding: a picture's time. Raises NoVideoStream
    from `info` if the connection ends before its first picture.
    """

    def __init__(self, settings: Settings, ask_for_keyframe: Callable[[], None]) -> None:
        self.warnings: Warnings = []
        self.slot: Slot[Item] = Slot()
        self.dropped: Counter[str] = Counter()
        self.rate = Recent()
        self.decoding = Stopwatch()
        self.heard_s = time.monotonic()
        self._inbox = _EncodedQueue(self.slot, ask_for_keyframe, self.dropped)
        self._decoder = _Decoder(settings, ask_for_keyframe, self.dropped)
        self._frames = self._decoded()
        self._first: Frame | None = None
        self._opening = threading.Lock()

    def take(self, encoded: Encoded | None) -> None:
        """A picture as it came, or None: no more will come. Called on the event loop; never waits."""
        if encoded is None:
            self.close()
            return
        self.heard_s = encoded.arrived_s
        self.rate.tick()
        self._inbox.put(encoded)

    @property
    def info(self) -> VideoInfo:
        """Of the first picture; waits for it."""
        with self._opening:
            if self._first is None:
                self._first = next(self._frames, None)
        if self._first is None:
            raise NoVideoStream("the connection ended before its first picture")
        return VideoInfo(self._first.width, self._first.height, CLOCK, _RATE)

    def __iter__(self) -> Iterator[Frame]:
        if self._first is not None:
            yield self._first
        yield from self._frames

    def close(self) -> None:
        """No more pictures. From any thread, as often as one likes."""
        self._inbox.close()

    def _decoded(self) -> Iterator[Frame]:
        for encoded in self._inbox:
            with self.decoding:
                frames = list(self._decoder(encoded))
            yield from frames


class _EncodedQueue:
    """Encoded pictures between the event loop and the decoding thread.

    None may be left out, or what follows cannot be decoded: if the thread falls behind, all are given up at once, and
    those that come until the next keyframe.
    """

    def __init__(self, slot: Slot[Item], ask_for_keyframe: Callable[[], None], dropped: Counter[str]) -> None:
        self._waiting: deque[Encoded] = deque()
        self._changed = threading.Condition()
        self._slot, self._ask, self._dropped = slot, ask_for_keyframe, dropped
        self._closed, self._broken, self._next_ask_s = False, False, 0.0

    def put(self, encoded: Encoded) -> None:
        with self._changed:
            if self._waiting and encoded.arrived_s - self._waiting[0].arrived_s > _LATE_S:
                self._dropped["decode"] += len(self._waiting)
                self._waiting.clear()
                self._broken = True
            if self._broken and not encoded.is_keyframe:
                self._dropped["decode"] += 1
                self._ask_again(encoded.arrived_s)
                return
            self._broken = False
            self._waiting.append(encoded)
            self._changed.notify()

    def _ask_again(self, now_s: float) -> None:
        if now_s >= self._next_ask_s:
            self._next_ask_s = now_s + _ASK_EVERY_S
            self._ask()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def __iter__(self) -> Iterator[Encoded]:
        """Until closed, or until nobody reads what is decoded: a silent camera must not hold up a video's end."""
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
    """Encoded pictures in, `Frame`s out: one size, BT.709, times that run forwards from 0."""

    def __init__(self, settings: Settings, ask_for_keyframe: Callable[[], None], dropped: Counter[str]) -> None:
        self._settings, self._ask, self._dropped = settings, ask_for_keyframe, dropped
        self._timeline = Timeline(CLOCK, round(1 / (_RATE * CLOCK)), Splices(Fraction(0)))
        self._codec = ""
        self._canvas = _LargestSize(settings.live_pixels)

    def __call__(self, encoded: Encoded) -> Iterator[Frame]:
        for picture in self._decode(encoded):
            picture.pts, picture.time_base = self._timeline.place(encoded.pts), CLOCK
            if encoded.codec == "VP8":
                picture.colorspace = Colorspace.ITU601  # RFC 6386, section 9.2: it has no other
            for frame in self._canvas(picture):
                yield replace(frame, arrived_s=encoded.arrived_s)

    def _decode(self, encoded: Encoded) -> list[av.VideoFrame]:
        if encoded.codec != self._codec:
            self._codec, self._context = encoded.codec, _decoder(encoded.codec, self._settings)
        packet = av.Packet(encoded.data)
        packet.pts, packet.time_base = encoded.pts, CLOCK
        try:
            return self._context.decode(packet)
        except av.error.FFmpegError:
            self._dropped["decode"] += 1
            self._ask()
            return []


def _decoder(codec: str, settings: Settings) -> av.VideoCodecContext:
    """One thread, so that no picture is held back and many videos do not have a thread for each core each."""
    context = cast(av.VideoCodecContext, av.CodecContext.create(_DECODERS[codec], "r"))
    context.thread_count = 1
    context.options = {"max_pixels": str(settings.max_pixels)}
    return context


class _LargestSize:
    """Keeps pictures of changing size at the largest size seen, as long as their shape stays."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._ingest: Ingest | None = None

    def __call__(self, picture: av.VideoFrame) -> Iterator[Frame]:
        if self._ingest is None or not self._holds(picture, self._ingest.size):
            self._ingest = Ingest(picture, None, *self._fitted(picture.width, picture.height))
        return self._ingest.push(picture)

    def _holds(self, picture: av.VideoFrame, size: tuple[int, int]) -> bool:
        width, height = size
        same_shape = abs(picture.width * height / (picture.height * width) - 1) < 0.04
        return same_shape and (picture.width * picture.height <= width * height * 1.02 or self._full(size))

    def _full(self, size: tuple[int, int]) -> bool:
        return size[0] * size[1] > 0.95 * self._max_pixels

    def _fitted(self, width: int, height: int) -> tuple[int, int]:
        """(0, 0) where it fits as it is."""
        if width * height <= self._max_pixels:
            return 0, 0
        return fitted((width, height), (0, 0), self._max_pixels)
