"""Work that blocks, off the event loop, and never left behind running."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_OUTSIDE = ThreadPoolExecutor(16, "outside")  # no thread is there before it is needed


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As asyncio.to_thread; but when the caller is cancelled it still waits for the work, which may hold files."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def outside(work: Callable[..., T], *args: object) -> T:
    """Work that waits for machines of others, in threads of its own: however long those take, nothing else waits."""
    return await asyncio.get_running_loop().run_in_executor(_OUTSIDE, work, *args)
