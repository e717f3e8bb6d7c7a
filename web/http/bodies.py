"""Request bodies that routes read themselves, in chunks: limited in size, and not allowed to stall."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request
from starlette.requests import ClientDisconnect

from web.http.problems import Problem

_CHUNK = 2**20  # bytes


class Chunks:
    """The request body in large chunks, of at most `limit` bytes in total.

    Raises Problem 413 for a longer body, with `too_large` as its sentence, and 408 where nothing arrives for `stall_s`
    seconds. If the client disconnects, yields what was received, then raises ClientDisconnect. too_long: whether the
    body was longer.
    """

    def __init__(self, request: Request, limit: int, stall_s: float, too_large: str) -> None:
        self.too_long, self._stall_s, self._sentence = False, stall_s, too_large
        self._chunks, self._remaining = request.stream(), limit
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise self._too_large()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        buffer = bytearray()
        end: Exception | None = None
        while end is None:
            try:
                async with asyncio.timeout(self._stall_s):
                    buffer += await anext(self._chunks)
            except (StopAsyncIteration, ClientDisconnect) as exc:
                end = exc
            except TimeoutError:
                sentence = f"the upload stalled: nothing arrived for {self._stall_s:g} s"
                end = Problem(408, "slow", sentence, Connection="close")
            if buffer and (end or len(buffer) >= _CHUNK):
                yield self._checked(bytes(buffer))
                buffer.clear()
        if not isinstance(end, StopAsyncIteration):
            raise end

    def _checked(self, chunk: bytes) -> bytes:
        self._remaining -= len(chunk)
        if self._remaining < 0:
            self.too_long = True
            raise self._too_large()
        return chunk

    def _too_large(self) -> Problem:
        return Problem(413, "too_large", self._sentence, Connection="close")
