"""Decodes the encoded frames that are received by WebRTC: all of them, because each depends on the one before.

Frames arrive on the event loop, and are decoded in another thread.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import cast

import av

from stream.picture.bt601 import assume_bt601
from stream.picture.display_matrix import Displays
from stream.rtc.aiortc_overrides import Encoded
from stream.settings import Settings

CLOCK = Fraction(1, 90_000)
_LATE_S = 0.5  # once frames have waited this long, all are dropped and a keyframe is requested
_REQUEST_INTERVAL_S = 0.5
_DECODERS = {"H264": "h264", "VP8": "libvpx"}


class EncodedQueue:
    """Encoded frames between the event loop and the decoding thread.

    Frames depend on those before them: if the thread falls behind, all waiting frames are dropped, and all that arrive
    until the next keyframe.

    ended: whether the video has ended; checked while there are no frames. dropped: its "decode" counts dropped frames.
    """

    def __init__(self, ended: Callable[[], bool], request_keyframe: Callable[[], None], dropped: Counter[str]) -> None:
        self._waiting: deque[Encoded] = deque()
        self._changed = threading.Condition()
        self._ended, self._request_keyframe, self._dropped = ended, request_keyframe, dropped
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
        """Until closed, or until the video has ended, which must not wait for a silent camera."""
        while not self._ended():
            with self._changed:
                if not self._waiting and not self._closed:
                    self._changed.wait(0.25)
                if self._closed:
                    return
                encoded = self._waiting.popleft() if self._waiting else None
            if encoded is not None:
                yield encoded


class PictureDecoder:
    """Encoded frames in, decoded pictures out, tagged with their colours and orientation. After an error a keyframe is
    requested, and the frame is counted in `dropped` as "decode"."""

    def __init__(self, settings: Settings, request_keyframe: Callable[[], None], dropped: Counter[str]) -> None:
        self._settings, self._request_keyframe, self._dropped = settings, request_keyframe, dropped
        self._codec = ""
        self._displays = Displays()

    def __call__(self, encoded: Encoded) -> Iterator[av.VideoFrame]:
        for picture in self._decode(encoded):
            self._displays.apply(picture)
            assume_bt601(picture, encoded.codec)
            yield picture

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
