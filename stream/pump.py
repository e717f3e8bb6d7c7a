"""The one path that every frame takes: source → transform → sink, each in a thread of its own.

A file, a camera and a call differ only in the three plug-ins given to `pump`. Knows nothing about codecs,
models or networks.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Protocol, Self

from stream.picture.frames import Frame, Sound, VideoInfo
from stream.slot import Handover, Line

Item = Frame | Sound
"""A picture, or a packet of sound whose times were rebased with the pictures'."""

_AHEAD = 8  # items that may wait between two stages: enough to ride out one slow frame, few enough for 8K


Warnings = list[tuple[str, str]]
"""What a user should know of a result that is not an error: (code, sentence) pairs, complete at the end."""


class Source(Protocol):
    """Where pictures come from. A live source forgets what nobody took; any other waits."""

    warnings: Warnings

    @property
    def info(self) -> VideoInfo:
        """A live source may wait here for its first picture."""
        ...

    def __iter__(self) -> Iterator[Item]: ...

    def close(self) -> None: ...


class Transform(Protocol):
    """Frames in, frames out, in order. May hold some back (delay, batches) until `flush`."""

    def open(self, info: VideoInfo) -> VideoInfo: ...

    def __call__(self, frame: Frame) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...

    def close(self) -> None: ...


class Sink(Protocol):
    """Where pictures go. Nothing that it makes is visible before `close`. `abort` removes every trace; it may follow
    a `close` that failed, and come without `open`."""

    warnings: Warnings

    def open(self, info: VideoInfo) -> None: ...

    def write(self, item: Item) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


def pump(
    source: Source,
    transform: Transform,
    sink: Sink,
    on_frame: Callable[[Frame], object] | None = None,
    read: Handover[Item] | None = None,
    written: Handover[Item] | None = None,
) -> None:
    """Carry everything from `source` through `transform` into `sink`, and close all three.

    The calling thread runs the transform, so that Ctrl-C arrives there. `on_frame` is called in it with each frame
    that was handed to the sink. If any stage raises, the others stop, the sink is aborted and the first error is
    raised here.

    read, written: what stands between the stages. Unless given, it is the `slot` of the source or sink, if it has one,
    so that no stage of live video works on anything but the newest frame; else a bounded line that loses nothing.
    """
    with ExitStack() as cleanup:
        cleanup.callback(source.close)
        cleanup.callback(transform.close)
        on_failure = cleanup.enter_context(ExitStack())
        on_failure.callback(sink.abort)
        sink.open(transform.open(source.info))
        with _Flow(source, sink, read or _handover(source), written or _handover(sink)) as flow:
            for item in _transformed(flow.read, transform):
                if not flow.written.put(item):
                    break
                if on_frame is not None and isinstance(item, Frame):
                    on_frame(item)
        sink.close()
        on_failure.pop_all()


def _handover(end: Source | Sink) -> Handover[Item]:
    slot: Handover[Item] | None = getattr(end, "slot", None)
    return slot or Line(_AHEAD)


def _transformed(items: Iterable[Item], transform: Transform) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Frame):
            yield from transform(item)
        else:
            yield item
    yield from transform.flush()


class _Flow:
    """Reader and writer threads with the two hand-overs, and the first error of any of them.

    Left only when both threads have ended, however often Ctrl-C is pressed meanwhile: what they work on is about to be
    closed, and a codec that is freed while it runs takes the process with it.
    """

    def __init__(self, source: Source, sink: Sink, read: Handover[Item], written: Handover[Item]) -> None:
        self.read, self.written = read, written
        self._source, self._sink = source, sink
        self._errors: list[BaseException] = []
        self._running, self._ended = 0, threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in (self._feed, self._drain)]

    def __enter__(self) -> Self:
        try:
            for thread in self._threads:
                thread.start()
                self._running += 1
        except BaseException:
            self._cancel()
            self._join()
            raise
        return self

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if exc is None:
            self.written.close()
        else:
            self._errors.append(exc)
            self._cancel()
        self._join()
        if self._errors and self._errors[0] is not exc:
            raise self._errors[0]

    def _join(self) -> None:
        """Wait until both have ended. Not by `Thread.join`: once interrupted it takes a running thread for dead."""
        while True:
            try:
                while self._running:
                    self._ended.acquire()
                    self._running -= 1
                return
            except KeyboardInterrupt as interrupt:
                self._errors.insert(0, interrupt)
                self._cancel()

    def _feed(self) -> None:
        for item in self._source:
            if not self.read.put(item):
                return
        self.read.close()

    def _drain(self) -> None:
        for item in self.written:
            self._sink.write(item)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001 - handed to the thread that can act on it
            self._errors.append(exc)
            self._cancel()
        finally:
            self._ended.release()

    def _cancel(self) -> None:
        self.read.cancel()
        self.written.cancel()
