"""Numbered frames for tests of live outputs, in real time, and receivers that read them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av
import numpy as np

from stream.picture.frames import Frame, VideoInfo

RATE = 25
SIZE = (160, 120)
CLOCK = Fraction(1, 90_000)
INFO = VideoInfo(*SIZE, CLOCK, Fraction(RATE))
_BITS = 12


def frame(number: int, size: tuple[int, int] = SIZE) -> Frame:
    """A frame whose number is written in it as bright and dark columns."""
    width, height = size
    pixels = np.full((height * 3 // 2, width), 128, np.uint8)
    for bit in range(_BITS):
        pixels[:height, bit * width // _BITS : (bit + 1) * width // _BITS] = 220 if number >> bit & 1 else 30
    return Frame(pixels, number * 90_000 // RATE, CLOCK)


def number_of(picture: av.VideoFrame) -> int:
    """The number in a decoded frame."""
    luma = picture.to_ndarray(format="gray")
    columns = [luma[:, (2 * bit + 1) * luma.shape[1] // (2 * _BITS)].mean() for bit in range(_BITS)]
    return sum(1 << bit for bit, level in enumerate(columns) if level > 125)


class Feed:
    """Writes numbered frames into a sink at their own pace, in a thread, until `stop`.

    noisy: with noise in the colours, which makes large packets. next: number of the next frame. written_s: when each
    was written, by `time.monotonic`.
    """

    def __init__(self, sink: Any, noisy: bool = False) -> None:
        self._sink, self._noisy = sink, noisy
        self.next = 0
        self.written_s: list[float] = []
        self._rng = np.random.default_rng(0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        sink.open(INFO)
        self._thread.start()

    def _run(self) -> None:
        began_s = time.monotonic()
        while not self._stopping.wait(max(0.0, began_s + self.next / RATE - time.monotonic())):
            self.written_s.append(time.monotonic())
            self._sink.write(self._frame())
            self.next += 1

    def _frame(self) -> Frame:
        made = frame(self.next)
        if self._noisy:
            chroma = made.pixels[SIZE[1] :]
            chroma[:] = self._rng.integers(20, 235, chroma.shape, np.uint8)
        return made

    def stop(self, end: Callable[[], object] | None = None) -> None:
        """End the feed, and close the sink, or end it by calling `end`."""
        self._stopping.set()
        self._thread.join()
        (end or self._sink.close)()


class Receiver:
    """Reads an address in a thread until its end. numbers: of the frames so far. arrived_s: their times, by
    `time.monotonic`. error: the exception that ended it."""

    def __init__(self, url: str, form: str | None = None, **options: str) -> None:
        self.numbers: list[int] = []
        self.arrived_s: list[float] = []
        self.error: Exception | None = None
        self._arguments = url, form, options
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        url, form, options = self._arguments
        options = {"analyzeduration": "500000"} | options  # else FFmpeg waits 5 s for sound that does not come
        try:
            with av.open(url, "r", format=form, options=options) as container:
                for picture in container.decode(video=0):
                    self.numbers.append(number_of(picture))
                    self.arrived_s.append(time.monotonic())
        except av.error.FFmpegError as exc:
            self.error = exc

    def wait(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the receiver has not ended"


@contextmanager
def feeding(sink: Any, noisy: bool = False) -> Iterator[Feed]:
    feed = Feed(sink, noisy)
    try:
        yield feed
    finally:
        feed.stop()


def missing(numbers: list[int]) -> list[int]:
    """The numbers between the first and the last that are not there."""
    return sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
