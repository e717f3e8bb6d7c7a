"""Waiting for what must happen.

A test of the parallel part must not pass or fail by the speed of the machine. It waits as long as it takes; only what
would hang anyway ends the wait.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE_S = 120.0
T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "", pause_s: float = 0.02) -> T:
    """Call `condition` until it returns something true, and return that. what: for the error."""
    end_s = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        if time.monotonic() > end_s:
            raise AssertionError(f"never happened: {what or condition}")
        time.sleep(pause_s)
    return value


async def eventually(call: Callable[[], Awaitable[T]], what: str = "", pause_s: float = 0.02) -> T:
    """Await `call` until it returns something true, and return that. what: for the error."""
    end_s = time.monotonic() + PATIENCE_S
    while not (value := await call()):
        if time.monotonic() > end_s:
            raise AssertionError(f"never happened: {what or call}")
        await asyncio.sleep(pause_s)
    return value
