"""Hand-over between threads: `Slot` for live video (newest wins), `LiveSlot` for live video with sound, `BoundedQueue`
for files (lossless).

`close()` lets the reader take the remaining items and then ends its loop.
"""

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_SOUND = 1000  # packets of sound that may wait in a LiveSlot: about 20 s


class Handover(ABC, Generic[T]):
    """Base class: the reader's side, and closing."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @abstractmethod
    def put(self, item: T) -> bool:
        """Add an item. Returns False where the hand-over is closed: the reader is gone, stop producing."""

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Announce that no more items will come. Idempotent, from any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Close, and discard the items not yet taken."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, timeout_s: float) -> T | None:
        """The next item; None where none came in time, or it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[T]:
        """Take items until closed and empty, waiting for each."""
        while True:
            with self._changed:
                while not self._items and not self._closed:
                    self._changed.wait()
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class Slot(Handover[T]):
    """Holds the newest item only. `put` never waits; items replaced before they were taken are counted in `dropped`."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0

    def put(self, item: T) -> bool:
        with self._changed:
            if self._closed:
                return False
            if self._items:
                self._items.clear()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True


class LiveSlot(Handover[T]):
    """Holds the newest frame, and packets of sound in order with it. `put` never waits.

    is_frame: distinguishes frames from packets of sound. max_sound: packets that may wait. A frame that is put while
    another one waits replaces it and takes its place behind the packets that came before it.
    dropped: frames replaced before they were taken. sound_dropped: packets over the limit, the oldest ones.
    """

    def __init__(self, is_frame: Callable[[T], bool], max_sound: int = MAX_SOUND) -> None:
        super().__init__()
        self._is_frame, self._max_sound = is_frame, max_sound
        self.dropped = self.sound_dropped = 0

    def put(self, item: T) -> bool:
        with self._changed:
            if self._closed:
                return False
            if self._is_frame(item):
                self.dropped += self._remove_first(frame=True)
            elif sum(not self._is_frame(waiting) for waiting in self._items) >= self._max_sound:
                self.sound_dropped += self._remove_first(frame=False)
            self._items.append(item)
            self._changed.notify_all()
            return True

    def _remove_first(self, frame: bool) -> bool:
        """Remove the first frame, or the first packet of sound. Returns whether there was one."""
        for index, waiting in enumerate(self._items):
            if self._is_frame(waiting) == frame:
                del self._items[index]
                return True
        return False


class BoundedQueue(Handover[T]):
    """Holds up to `capacity` items in order; `put` waits for room."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def put(self, item: T) -> bool:
        with self._changed:
            while len(self._items) >= self._capacity and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True
