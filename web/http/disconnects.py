"""Work that is cancelled when its client disconnects. uvicorn does not cancel the handler of a request by itself."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from web.http.problems import Problem

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. If the client disconnects before, the work is cancelled, and Problem 400 raised.

    Call it when the whole body has been read.
    """
    running, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            running.cancel()
            await asyncio.wait((running,))
        if running.cancelled():
            raise Problem(400, "cut_off", "the connection was lost")
        return running.result()
    finally:
        for task in (running, gone):
            task.cancel()
        await asyncio.wait((running, gone))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
