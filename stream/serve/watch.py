"""How a supervisor detects that a program hangs: by its heartbeats, or by asking it.

Time in which the supervisor itself did not run does not count (`Silence`): it was stopped, or the computer slept.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stream.serve.heartbeat import Health, Heartbeats, Silence, silence_allowed_s

_log = logging.getLogger(__name__)
_INTERVAL_S = 0.25
_NOTICE_S = 5.0  # silence of a program that is asked, from which on it is logged


@dataclass(frozen=True)
class Watch:
    """When a program counts as hung: after `silent_s` seconds without a sign of life.

    responds: asks the program, in at most a second or two, and returns whether it gave a sign of life. None: the
    program sends heartbeats (`stream.serve.heartbeat.beating`).
    """

    silent_s: float
    responds: Callable[[], Awaitable[bool]] | None = None


class Liveness:
    """The signs of life of one process. name: of its program, for the log. On the event loop."""

    def __init__(self, watch: Watch, name: str) -> None:
        self._watch, self._name = watch, name
        self._beats = None if watch.responds else Heartbeats()
        self._responded, self._noticed = False, False

    def environment(self) -> dict[str, str]:
        """Variables for the process."""
        return self._beats.environment() if self._beats else {}

    def inherited(self) -> tuple[int, ...]:
        """Descriptors that the process must inherit."""
        return (self._beats.write,) if self._beats else ()

    def started(self) -> None:
        """Call it once the process has been started."""
        self._silence = Silence(time.monotonic())
        if self._beats:
            self._beats.handed_over()

    @property
    def loaded(self) -> bool:
        """Whether its last heartbeat said that it works or can begin to."""
        return self._beats is not None and self._beats.health is Health.OK

    @property
    def has_started(self) -> bool:
        """Whether a heartbeat said that it works. Always True for a program that sends none."""
        return self._beats is None or self._beats.started

    async def lost(self, spare_loaded: Callable[[], bool]) -> str:
        """Wait until the process hangs. Returns how that was detected, as text. May be cancelled and called again.

        spare_loaded: whether another process of the program can take over.
        """
        while True:
            await asyncio.sleep(_INTERVAL_S)
            alive = await self._alive()
            silent_s, limit_s = self._silence.look(time.monotonic(), alive), self._limit_s(spare_loaded())
            if self._beats and self._beats.health is Health.STUCK:
                return "reported that it hangs"
            if silent_s > limit_s:
                return f"did not respond for {limit_s:g} s"
            if self._watch.responds:
                self._report(silent_s)

    def close(self) -> bool:
        """The process has ended. Returns whether any of its heartbeats said that it works or can begin to."""
        if self._beats is None:
            return False
        self._beats.take()  # those since the last look
        had_loaded = self._beats.started
        self._beats.close()
        self._beats = None
        return had_loaded

    async def _alive(self) -> bool:
        if self._watch.responds:
            return await self._watch.responds()
        return self._beats is not None and self._beats.take()

    def _limit_s(self, spare_loaded: bool) -> float:
        health = self._beats.health if self._beats else Health.OK
        return silence_allowed_s(health, self._watch.silent_s, spare_loaded)

    def _report(self, silent_s: float) -> None:
        """Log a silence that is not that of a program which is still starting, and its end."""
        self._responded = self._responded or not silent_s
        if self._responded and not self._noticed and silent_s > _NOTICE_S:
            self._noticed = True
            _log.warning("%s has not responded for %.0f s", self._name, silent_s)
        elif self._noticed and not silent_s:
            self._noticed = False
            _log.warning("%s responds again", self._name)
