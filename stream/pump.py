"""The one path of every frame: source → transform → sink, each in its own thread.

A file, a camera and a call differ only in the three plug-ins passed to `pump`. Knows nothing about codecs,
models or networks.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Protocol, Self

from stream.picture.frames import Frame, Sound, VideoInfo
from stream.signals import postponed
from stream.slot import BoundedQueue, Handover

Item = Frame | Sound
"""A frame, or an audio packet on the same clock."""

_QUEUED = 8  # items that may wait between two stages: enough to absorb one slow frame, few enough for 8K


Warnings = list[tuple[str, str]]
"""Problems a user should know of that are not errors: (code, sentence) pairs, complete at the end."""


class Source(Protocol):
    """Where frames come from. A live source drops frames that are not taken in time; any other source waits for the
    transform."""

    warnings: Warnings

    @property
    def info(self) -> VideoInfo:
        """A live source may block here until its first frame."""
        ...

    def __iter__(self) -> Iterator[Item]: ...

    def close(self) -> None: ...


class Transform(Protocol):
    """Frames in, frames out, in order. May hold frames back (delay, batching) until `flush`."""

    def open(self, info: VideoInfo) -> VideoInfo: ...

    def __call__(self, frame: Frame) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...

    def close(self) -> None: ...


class Sink(Protocol):
    """Where frames go.

    A file or folder gets its name in `close`, when it is complete; `abort` removes what was written of it. A live sink
    shows or sends each frame at once: its `close` and `abort` only end the connection. `abort` may be called at any
    time, also before `open` and after a failed `close`.
    """

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
    """Run everything from `source` through `transform` into `sink`, and close all three.

    The calling thread runs the transform, so that Ctrl-C interrupts the transform. on_frame: called in the same thread
    with each frame, after the frame was passed on to the sink. If any stage raises, the others stop, the sink is
    aborted and the first error is raised here.

    read, written: the hand-overs from the source to the transform, and from the transform to the sink. The default is
    the `slot` of the source or sink, which keeps only the newest frame and counts those it drops; without a `slot`, a
    bounded queue that drops nothing.
    """
    with ExitStack() as cleanup:
        cleanup.callback(source.close)
        cleanup.callback(transform.close)
        on_failure = cleanup.enter_context(ExitStack())
        on_failure.callback(sink.abort)
        sink.open(transform.open(source.info))
        flow = _Flow(source, sink, read or _handover(source), written or _handover(sink))
        on_failure.callback(flow.stop)  # a signal may come at the very beginning of its `__exit__`
        with flow:
            for item in _transformed(flow.read, transform):
                if not flow.written.put(item):
                    break
                if on_frame is not None and isinstance(item, Frame):
                    on_frame(item)
        sink.close()
        on_failure.pop_all()


def _handover(end: Source | Sink) -> Handover[Item]:
    slot: Handover[Item] | None = getattr(end, "slot", None)
    return slot or BoundedQueue(_QUEUED)


def _transformed(items: Iterable[Item], transform: Transform) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Frame):
            yield from transform(item)
        else:
            yield item
    yield from transform.flush()


class _Flow:
    """The reader and writer threads, their hand-overs, and the first error of any stage.

    Exits only when both threads have ended, however often Ctrl-C is pressed: the codecs they use are closed next, and
    freeing a codec while it runs crashes the process.
    """

    def __init__(self, source: Source, sink: Sink, read: Handover[Item], written: Handover[Item]) -> None:
        self.read, self.written = read, written
        self._source, self._sink = source, sink
        self._errors: list[BaseException] = []
        self._running, self._ended = 0, threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in (self._read, self._write)]

    def __enter__(self) -> Self:
        try:
            with postponed():  # an interrupted `Thread.start` does not tell whether the thread runs
                for thread in self._threads:
                    thread.start()
                    self._running += 1
        except BaseException:
            self.stop()
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

    def stop(self) -> None:
        """Stop both threads, and wait until they have ended."""
        self._cancel()
        self._join()

    def _join(self) -> None:
        """Wait until both threads have ended. A `Thread.join` that was interrupted may later return although the thread
        still runs, so `_run` signals its end by a semaphore instead."""
        while True:
            try:
                while self._running:
                    self._ended.acquire()
                    self._running -= 1
                return
            except KeyboardInterrupt as interrupt:
                self._errors.insert(0, interrupt)
                self._cancel()

    def _read(self) -> None:
        for item in self._source:
            if not self.read.put(item):
                return
        self.read.close()

    def _write(self) -> None:
        for item in self.written:
            self._sink.write(item)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001 - raised again in the calling thread
            self._errors.append(exc)
            self._cancel()
        finally:
            self._ended.release()

    def _cancel(self) -> None:
        self.read.cancel()
        self.written.cancel()
