"""The running task's connection to its caller: it reports progress and heartbeats, and can be stopped."""

import threading

from stream.picture.frames import Frame


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The task was asked to end while it ran."""


class Watcher:
    """frames: number of frames that the task has written. newest: the last of them. stop: setting it makes the task
    raise Stopped."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.frames = 0
        self.newest: Frame | None = None

    def tick(self, frame: Frame) -> None:
        """Called for each frame that the task has written."""
        self.frames += 1
        self.newest = frame
        self.beat()

    def beat(self) -> None:
        """Called regularly while the task makes progress, also when it writes no frames. Does nothing in this class."""

    def check(self) -> None:
        """Raise Stopped if `stop` is set."""
        if self.stop.is_set():
            raise Stopped
