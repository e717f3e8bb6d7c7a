"""Stores that run the scripts of the version before indexes, from tests/data/old_scripts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from stream.records import scripts
from stream.records.redis_keys import PREFIX
from stream.records.redis_link import RedisLink
from tests.servers import RedisServer

_FOLDER = Path("tests/data/old_scripts")
_SHARED = {"live": ("common",), "feed": ("common", "deaths"), "job": ("keys", "owners", "common", "poison_jobs")}


@cache
def _text(name: str) -> str:
    """As `scripts.script`, whose constants it has."""
    folder = name.partition("/")[0]
    constants = f"local PREFIX = {PREFIX!r}\n" + scripts.script(name).partition("-- Shared by all scripts")[0]
    parts = ("clock", *(f"{folder}/{shared}" for shared in _SHARED[folder]), name)
    return "\n".join([constants, *((_FOLDER / f"{part}.lua").read_text() for part in parts)])


class _OldLink(RedisLink):
    async def run(self, name: str, *values: str | float) -> Any:
        return await self.ask("EVAL", _text(name), 0, *values)


@asynccontextmanager
async def old_link(server: RedisServer) -> AsyncIterator[RedisLink]:
    link = _OldLink(server.url)
    try:
        yield link
    finally:
        await link.close()
