"""State that all open event streams share: their number, and the shutdown signal.

Knows nothing about HTTP.
"""

import asyncio
from collections import Counter
from contextlib import suppress


class JobWatch:
    """open: the number of open event streams per user."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter()
        self._closing = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        """End every stream, because the server shuts down. Clients reconnect by themselves."""
        self._closing.set()

    def add_stream(self, owner: str, limit: int) -> bool:
        """Count a new stream of the user. False, without counting it, if `limit` are open."""
        if self.open[owner] >= limit:
            return False
        self.open[owner] += 1
        return True

    def remove_stream(self, owner: str) -> None:
        """Called when one of the user's streams has ended."""
        self.open[owner] -= 1
        if not self.open[owner]:
            del self.open[owner]

    async def pause(self, seconds: float) -> None:
        """Sleep, but return early when the server shuts down."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
