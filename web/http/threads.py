"""Run blocking work outside the event loop, in pools by kind: work of one kind never holds up that of another.

Each pool starts its threads on demand, and queues what is beyond its size.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)
_FILES = ThreadPoolExecutor(16, "files")
_LOCKS = ThreadPoolExecutor(2, "locks")
_PICTURES = ThreadPoolExecutor(2, "pictures")  # up to 400 MiB each, for a picture of `Settings.max_pixels`
_STORE = ThreadPoolExecutor(4, "store")
_PARTS = ThreadPoolExecutor(8, "parts")
_READS = ThreadPoolExecutor(16, "reads")
_NETWORK = ThreadPoolExecutor(16, "network")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run short work on files. A cancelled caller still waits for the work to end: it may hold open files."""
    return await _completed(_FILES, lambda: work(*args, **kwargs))


async def in_lock_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_thread`, for work that waits for a lock which other requests of the same user may hold."""
    return await _completed(_LOCKS, lambda: work(*args, **kwargs))


async def in_picture_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_thread`, for work that decodes or paints pictures, which takes memory and a core."""
    return await _completed(_PICTURES, lambda: work(*args, **kwargs))


async def in_store_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_thread`, for work that moves a large file to storage, perhaps on another machine."""
    return await _completed(_STORE, lambda: work(*args, **kwargs))


async def in_part_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_thread`, for work that moves a few megabytes to or from another machine."""
    return await _completed(_PARTS, lambda: work(*args, **kwargs))


async def in_network_thread(work: Callable[..., T], *args: object) -> T:
    """Run work that waits for remote servers, which may be slow. It continues when the caller is cancelled."""
    return await asyncio.get_running_loop().run_in_executor(_NETWORK, work, *args)


async def pieces(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of an object in storage, each read in a thread."""
    while piece := await _completed(_READS, lambda: next(content, b"")):
        yield piece


async def _completed(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    running = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled() and (exc := running.exception()) is not None:
            _log.warning("work for a request that was cancelled failed: %s", exc)
        raise
