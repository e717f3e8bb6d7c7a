"""Heartbeats of a program to its supervisor, over a pipe that it inherits: they tell a program that hangs from one that
works. They need no Redis, so an outage of Redis kills nothing.

A program writes one byte a second from its event loop: a stopped process, a deadlock and a blocked event loop write
none. The byte is a `Health`, so the program also reports what its event loop cannot show, such as a device thread that
does not return from a call. `Silence` decides when there were no heartbeats for too long.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum

from stream.loops import start
from stream.supervised import HEARTBEAT_FD

_log = logging.getLogger(__name__)
INTERVAL_S = 1.0  # between two heartbeats
STARTING_S = 120.0  # silence allowed while a program starts, loads or ends: imports can block its event loop this long
REPLACEABLE_STARTING_S = 10.0  # the same where a spare is loaded: taking over is sooner than waiting
_SUSPENDED_S = 3.0  # an observer that looks this late was itself stopped, or the computer slept


class Health(Enum):
    """What a heartbeat reports. STARTING: a longer silence is allowed. STUCK: the program must be killed now."""

    OK = b"."
    STARTING = b"s"
    STUCK = b"!"


@asynccontextmanager
async def beating(health: Callable[[], Health] = lambda: Health.OK) -> AsyncIterator[None]:
    """Within it, the supervisor gets `health()` once a second from this event loop. Does nothing without a supervisor.

    Enter it once in a process.
    """
    descriptor = os.environ.pop(HEARTBEAT_FD, "")  # so that processes started by this one do not look for it
    if not descriptor:
        yield
        return
    pipe = int(descriptor)
    os.set_blocking(pipe, False)
    os.set_inheritable(pipe, False)
    task = start(_beat(pipe, health), _log)
    try:
        yield
    finally:
        task.cancel()
        _write(pipe, Health.STARTING)  # the end of the process may take a while too


async def _beat(pipe: int, health: Callable[[], Health]) -> None:
    while True:
        _write(pipe, health())
        await asyncio.sleep(INTERVAL_S)


def _write(pipe: int, health: Health) -> None:
    with suppress(OSError):  # full, because the supervisor is stopped; or closed, because it is gone
        os.write(pipe, health.value)


def silence_allowed_s(health: Health, silent_s: float, spare_loaded: bool) -> float:
    """The seconds of silence after which a program with that last `health` counts as hung.

    silent_s: of a program that works. spare_loaded: another process of the program can take over.
    """
    if health is not Health.STARTING:
        return silent_s
    return max(silent_s, REPLACEABLE_STARTING_S if spare_loaded else STARTING_S)


class Silence:
    """How long something that should give signs of life has given none, as seen by an observer that looks regularly.

    Time during which the observer itself did not run does not count: after such a pause, such as a sleeping laptop or a
    stopped process group, the silence starts at 0. Times are monotonic, in seconds.
    """

    def __init__(self, now_s: float) -> None:
        self.seconds = 0.0
        self._looked_s = now_s

    def look(self, now_s: float, alive: bool) -> float:
        """The silence in seconds. alive: whether there was a sign of life since the last look."""
        elapsed_s, self._looked_s = now_s - self._looked_s, now_s
        self.seconds = 0.0 if alive or elapsed_s > _SUSPENDED_S else self.seconds + elapsed_s
        return self.seconds


class Heartbeats:
    """The supervisor's end of the pipe. On the event loop.

    health: of the last heartbeat; STARTING before the first. started: whether one of them was OK.
    """

    def __init__(self) -> None:
        self._read, self.write = os.pipe()
        os.set_blocking(self._read, False)
        self.health, self.started = Health.STARTING, False

    def environment(self) -> dict[str, str]:
        """For the program, which must inherit the descriptor `write`."""
        return {HEARTBEAT_FD: str(self.write)}

    def handed_over(self) -> None:
        """The program has been started: close its end here."""
        os.close(self.write)

    def take(self) -> bool:
        """Whether there were heartbeats since the last call; updates `health`."""
        with suppress(BlockingIOError):
            beats = os.read(self._read, 65536)
            if beats:
                self.health = Health.STUCK if Health.STUCK.value in beats else Health(beats[-1:])
                self.started = self.started or Health.OK.value in beats
                return True
        return False

    def close(self) -> None:
        os.close(self._read)
