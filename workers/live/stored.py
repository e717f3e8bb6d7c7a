"""Writing to Redis, repeated while it is unavailable."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stream.errors import StoreDown

_log = logging.getLogger(__name__)
_GIVE_UP_S = 60.0  # after this a write that could not be stored is given up

T = TypeVar("T")


async def stored(write: Callable[[], Awaitable[T]], pause_s: float, give_up_s: float = _GIVE_UP_S) -> T | None:
    """Write to Redis, retrying while it is unavailable. None: given up after a while, which is logged."""
    until_s = time.monotonic() + give_up_s
    while True:
        try:
            return await write()
        except StoreDown as exc:
            if time.monotonic() >= until_s:
                _log.warning("%s; given up", exc)
                return None
        await asyncio.sleep(pause_s)
