"""Stores that run the scripts of the version before this one, which has no indexes: from its packages."""

import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from stream.records import scripts
from stream.records.redis_keys import PREFIX
from stream.records.redis_link import RedisLink
from tests.media import PREVIOUS_VERSION
from tests.servers import RedisServer

_FOLDER = "stream/records/lua"
_SHARED = {"live": ("common",), "feed": ("common", "deaths"), "job": ("keys", "owners", "common", "poison_jobs")}


@cache
def _files() -> dict[str, str]:
    """The text of each of its scripts, by path."""
    with tarfile.open(PREVIOUS_VERSION) as packed:
        files = {member.name: packed.extractfile(member) for member in packed if member.name.endswith(".lua")}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


@cache
def _text(name: str) -> str:
    """As `scripts.script`, whose constants it has."""
    folder = name.partition("/")[0]
    constants = f"local PREFIX = {PREFIX!r}\n" + scripts.script(name).partition("-- Shared by all scripts")[0]
    parts = ("clock", *(f"{folder}/{shared}" for shared in _SHARED[folder]), name)
    return "\n".join([constants, *(_files()[f"{_FOLDER}/{part}.lua"] for part in parts)])


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
