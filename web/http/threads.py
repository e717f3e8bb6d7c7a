"""Run blocking work outside the event loop."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)
_NETWORK = ThreadPoolExecutor(16, "network")  # starts threads on demand


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like asyncio.to_thread, but a cancelled caller still waits for the work to end: it may hold open files."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (exc := task.exception()) is not None:
            _log.warning("%s, for a request that was cancelled: %s", getattr(work, "__qualname__", work), exc)
        raise


async def in_network_thread(work: Callable[..., T], *args: object) -> T:
    """Run work that waits for remote servers in a separate pool, so that slow servers do not delay other work."""
    return await asyncio.get_running_loop().run_in_executor(_NETWORK, work, *args)
