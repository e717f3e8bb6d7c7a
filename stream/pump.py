"""The one path that every frame takes: source → transform → sink, each in a thread of its own.

A file, a camera and a call differ only in the three plug-ins given to `pump`. Knows nothing about codecs,
models or networks.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from stream.frames import Frame, Sound, VideoInfo
from stream.slot import Line

Item = Frame | Sound
"""A picture, or a packet of sound whose times were rebased with the pictures'."""

_AHEAD = 8  # items that may wait between two stages: enough to ride out one slow frame, few enough for 8K


class Source(Protocol):
    """Where pictures come from. A live source forgets what nobody took; any other waits."""

    info: VideoInfo

    def __iter__(self) -> Iterator[Item]: ...

    def close(self) -> None: ...


class Transform(Protocol):
    """Frames in, frames out, in order. May hold some back (delay, batches) until `flush`."""

    def open(self, info: VideoInfo) -> VideoInfo: ...

    def __call__(self, frame: Frame) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...

    def close(self) -> None: ...


class Sink(Protocol):
    """Where pictures go. Nothing it makes is visible before `close`; `abort` removes every trace."""

    def open(self, info: VideoInfo) -> None: ...

    def write(self, item: Item) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


def pump(source: Source, transform: Transform, sink: Sink, on_frame: Callable[[Frame], None] | None = None) -> None:
    """Carry everything from `source` through `transform` into `sink`, and close all three.

    The calling thread runs the transform, so that Ctrl-C arrives there. `on_frame` is called in it with each frame
    that was handed to the sink. If any stage raises, the others stop, the sink is aborted and the first error is
    raised here.
    """
    flow = _Flow()
    try:
        sink.open(transform.open(source.info))
        reader = flow.start("reader", lambda: _feed(source, flow.read))
        writer = flow.start("writer", lambda: _drain(flow.written, sink))
        try:
            for item in _transformed(flow.read, transform):
                if not flow.written.put(item):
                    break
                if on_frame is not None and isinstance(item, Frame):
                    on_frame(item)
            flow.written.close()
            writer.join()
        finally:
            flow.cancel()
            reader.join()
            writer.join()
        flow.raise_first()
    except BaseException:
        sink.abort()
        raise
    else:
        sink.close()
    finally:
        transform.close()
        source.close()


def _feed(source: Source, line: Line[Item]) -> None:
    for item in source:
        if not line.put(item):
            return
    line.close()


def _drain(line: Line[Item], sink: Sink) -> None:
    for item in line:
        sink.write(item)


def _transformed(items: Iterable[Item], transform: Transform) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Frame):
            yield from transform(item)
        else:
            yield item
    yield from transform.flush()


class _Flow:
    """The two lines between three threads, and the first error of any of them."""

    def __init__(self) -> None:
        self.read: Line[Item] = Line(_AHEAD)
        self.written: Line[Item] = Line(_AHEAD)
        self._errors: list[BaseException] = []

    def start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._guard, args=(work,), name=name, daemon=True)
        thread.start()
        return thread

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001 - handed to the thread that can act on it
            self._errors.append(exc)
            self.cancel()

    def cancel(self) -> None:
        self.read.cancel()
        self.written.cancel()

    def raise_first(self) -> None:
        if self._errors:
            raise self._errors[0]
