"""Bounds and deadlines of calls to a server. Knows nothing about Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil

_SLICE_S = 0.1


class Turns:
    """At most `count` calls at a time; further ones wait, first come, first served.

    If a call gets no reply in time, all that are waiting fail with it: otherwise they would wait for a server that
    does not respond, one after the other.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._timeouts = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Holds a turn. Raises TimeoutError if another call timed out meanwhile."""
        timeouts = self._timeouts
        async with self._free:
            if timeouts != self._timeouts:
                raise TimeoutError("no reply in time")
            try:
                yield
            except TimeoutError:
                self._timeouts += 1
                raise


@asynccontextmanager
async def reply_timeout(limit_s: float) -> AsyncIterator[None]:
    """Like asyncio.timeout, but measures the awaited server, not this process: the time does not run
    while the event loop is busy. Raises TimeoutError.

    The time is counted in slices of 0.1 s, each of which ends in a different iteration of the loop. A reply that has
    arrived is noticed in the iteration in which it can be read.
    """
    loop, left = asyncio.get_running_loop(), ceil(limit_s / _SLICE_S)
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as timeout:

        def count_down() -> None:
            nonlocal left, timer
            left -= 1
            if left > 0:
                timer = loop.call_later(_SLICE_S, count_down)
            else:
                timeout.reschedule(loop.time())

        timer = loop.call_later(_SLICE_S, count_down)
        try:
            yield
        finally:
            timer.cancel()
