"""Progress of a task that runs in another thread or process, and a way to stop it."""

import threading

from stream.picture.frames import Frame


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The task was asked to end while it ran."""


class Watcher:
    """frames: number of frames written by the task. newest: the last of them. stop: if set, ends it: `Stopped`."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.frames = 0
        self.newest: Frame | None = None

    def tick(self, frame: Frame) -> None:
        """A frame was written."""
        self.frames += 1
        self.newest = frame
        self.beat()

    def beat(self) -> None:
        """Heartbeat of a task, also while it writes no frames. Does nothing in this class."""

    def check(self) -> None:
        """Raise Stopped if `stop` is set."""
        if self.stop.is_set():
            raise Stopped
