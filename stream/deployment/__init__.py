"""The checks behind `mattebox doctor --deployment`, one file for each part of an installation."""

import asyncio
from collections.abc import AsyncIterator

from stream.deployment import clock, machine, redis_server, storage, turn, udp
from stream.finding import Finding, guarded, guarded_now
from stream.settings import Settings


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Yield each finding as soon as it is known."""
    for finding in guarded_now("machine", lambda: machine.check(settings)):
        yield finding
    checks = {
        "redis": redis_server.check(settings),
        "storage": asyncio.to_thread(storage.check, settings),
        "clock": clock.check(settings),
        "udp": udp.check(settings),
        "turn": turn.check(settings),
    }
    for name, check in checks.items():
        for finding in await guarded(name, check):
            yield finding
