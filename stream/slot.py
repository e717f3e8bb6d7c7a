"""Hand-over between threads: `Slot` for live video (newest wins), `Line` for files (nothing is lost, bounded).

Both end the same way: `close()` lets the reader finish what is there and then ends its loop.
"""

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(ABC, Generic[T]):
    """What both have in common: the reader's side, and how it ends."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @abstractmethod
    def put(self, item: T) -> bool:
        """False when it was closed meanwhile: the reader is gone, stop producing."""

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """No more items will come. Safe to call twice, from any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Close, and throw away what was not taken."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, timeout_s: float) -> T | None:
        """The next item; None when none came in time, or none will."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[T]:
        """Take items until closed and empty; waits for the next one."""
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
    """Holds one item, the newest. `put` never waits; an item that nobody took in time is counted in `dropped`."""

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


class Line(Handover[T]):
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
