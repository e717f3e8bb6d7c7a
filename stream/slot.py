"""Hand-over between threads: `Slot` for live video (newest wins), `BoundedQueue` for files (lossless).

`close()` lets the reader take the remaining items and then ends its loop.
"""

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


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
