"""How a task is followed, and stopped, while it runs in another thread or process."""

import threading

from stream.picture.frames import Frame


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The task was asked to end while it ran."""


class Watcher:
    """frames: how many the task has written. newest: the last of them. stop: set by anyone, ends it with `Stopped`."""

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
        """The task is alive, though no frame may be written for long. Does nothing here."""

    def check(self) -> None:
        """Raises Stopped where `stop` is set."""
        if self.stop.is_set():
            raise Stopped
