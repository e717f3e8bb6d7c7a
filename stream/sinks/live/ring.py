"""Queues in front of outputs. They never block the side that puts: the oldest items are dropped and counted."""

from abc import abstractmethod
from typing import TypeVar

from stream.picture.frames import Frame
from stream.pump import Item
from stream.sinks.live.packets import Packet
from stream.slot import Handover

T = TypeVar("T")

PACKETS = 512  # about 7 s of video with sound
_FRAMES = 16  # half a second: a pause of the encoder's thread on a busy machine costs no frame
_SOUND = 1000


class Ring(Handover[T]):
    """Base class. dropped: number of frames or video packets dropped since the start."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0

    def put(self, item: T) -> bool:
        """Add an item; never waits. Ignored once closed."""
        with self._changed:
            if not self._closed:
                self._add(item)
                self._changed.notify_all()
            return not self._closed

    @abstractmethod
    def _add(self, item: T) -> None:
        """Add an item, and drop others if there are too many. Called with the lock held."""

    @property
    def finished(self) -> bool:
        """Closed and empty."""
        return self._closed and not self._items

    def restart(self) -> None:
        """Discard all items, without counting them."""
        with self._changed:
            self._items.clear()


class PacketRing(Ring[Packet]):
    """Up to `capacity` packets. When it is full, everything before the next keyframe is dropped, so that what remains
    can be decoded. Packets before the first keyframe are ignored and not counted."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._waits_for_key, self._counts = True, False

    def restart(self) -> None:
        with self._changed:
            self._items.clear()
            self._waits_for_key, self._counts = True, False

    def _add(self, item: Packet) -> None:
        if len(self._items) >= self._capacity:
            self._drop_to_keyframe()
        if self._waits_for_key:
            if not _is_keyframe(item):
                self.dropped += self._counts and item.kind == "video"
                return
            self._waits_for_key, self._counts = False, True
        self._items.append(item)

    def _drop_to_keyframe(self) -> None:
        self._drop_first()
        while self._items and not _is_keyframe(self._items[0]):
            self._drop_first()
        self._waits_for_key = not self._items

    def _drop_first(self) -> None:
        self.dropped += self._items.popleft().kind == "video"


class FrameRing(Ring[Item]):
    """Up to 16 frames, and packets of sound in order with them. When there are more, the oldest frame is dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._frames = 0

    def _add(self, item: Item) -> None:
        self._items.append(item)
        if isinstance(item, Frame):
            if self._count(Frame) > _FRAMES:
                self._remove_first(Frame)
                self.dropped += 1
        elif len(self._items) > _SOUND:
            self._items.popleft()

    def _count(self, kind: type) -> int:
        return sum(isinstance(item, kind) for item in self._items)

    def _remove_first(self, kind: type) -> None:
        for place, item in enumerate(self._items):
            if isinstance(item, kind):
                del self._items[place]
                return


def _is_keyframe(packet: Packet) -> bool:
    return packet.kind == "video" and packet.key
