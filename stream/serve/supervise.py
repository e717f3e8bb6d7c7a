"""Supervisor of the programs of `mattebox serve`: starts them in order, restarts them, and stops them together.

A program that dies is restarted, at first at once, then with growing delays. A program that never starts stops
everything with an error; one that did once is restarted indefinitely, because the cause may go away: a feed that kills
each worker that runs it is taken from them after a few deaths. A program has started when a heartbeat says so (it has
loaded what it needs), or after 5 s. A program that hangs is killed, and so counts as dead (`stream/serve/watch.py`). A
program with a spare has a second process as a hot standby, loaded and waiting: when the active one dies, the spare
takes over within milliseconds. No child outlives this process (`stream.serve.die_with_parent`). Knows only the
programs' command lines.

A program with a spare loads everything, awaits `wait_for_turn()`, then works.
"""

import asyncio
import contextlib
import itertools
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from stream.errors import ServerError
from stream.loops import Loops, start
from stream.serve.child import Child, Program, cancel
from stream.signals import endings

_log = logging.getLogger(__name__)

STABLE_S = 5.0  # a process that ran this long is stable: the next start is not delayed
_DELAYS_S = (0.0, 0.2, 0.5, 1.0, 2.0)  # before each start after consecutive failures
TRIES = len(_DELAYS_S)  # failed starts before giving up
SPARE_AFTER_S = 3.0  # delay of the spare, so that the active process can start and clients reconnect first
_SPARE_DELAY_S = 30.0  # between later starts of a failing spare
_POLL_INTERVAL_S = 0.05
_HEALTH_INTERVAL_S = 1.0
_KILLED_S = 2.0  # for the end of a killed process; one that is blocked in a driver may never end, and is left behind


class Refusal(ServerError):  # noqa: N818
    """A program exited with `REFUSED`: restarting is useless, and it has printed the reason itself."""


class Supervisor:
    """Runs `programs` until a signal, or until one cannot be kept running."""

    def __init__(
        self,
        programs: Sequence[Program],
        stop_s: float | None = 15.0,
        ready_s: float = 60.0,
        health_file: Path | None = None,
    ) -> None:
        """stop_s: time for all programs to end after SIGTERM; None: any. ready_s: time for each program's `ready`.

        health_file: is touched once a second while every program works. A check of a container compares its age with a
        limit, which needs neither Redis nor another Python process.
        """
        self._runners = [(_RunnerWithSpare if program.spare else _Runner)(program) for program in programs]
        self._stop_s, self._ready_s, self._health_file = stop_s, ready_s, health_file
        self._stopping, self._forced = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Start and supervise; stop at SIGTERM, SIGINT or SIGHUP, and kill at a second signal. In the main thread.

        Raises ServerError, with everything stopped, when a program is not ready in time or keeps crashing, and Refusal
        when one exits with `REFUSED`.
        """
        if self._health_file is None:
            return await self._run_programs()
        async with Loops(_log, "").running((self._report_health, _HEALTH_INTERVAL_S)):
            return await self._run_programs()

    async def _run_programs(self) -> None:
        runs: list[asyncio.Task[None]] = []
        with _signals(self._on_signal):
            try:
                await self._start(runs)
                await self._until_stopping(asyncio.Event().wait(), runs)
            finally:
                await cancel(runs)
                await self._stop_all()

    async def _report_health(self) -> None:
        if self._health_file is not None and all(runner.works for runner in self._runners):
            self._health_file.touch()

    async def _start(self, runs: list["asyncio.Task[None]"]) -> None:
        for runner in self._runners:
            if not self._stopping.is_set():
                runs.append(asyncio.create_task(runner.keep()))
                await self._until_stopping(runner.until_ready(self._ready_s), runs)

    async def _until_stopping(self, step: Coroutine[Any, Any, object], runs: Sequence["asyncio.Task[None]"]) -> None:
        """Wait for `step` or a stop request, whichever is first. Raises the error of `step` or of a failed program."""
        stopping, step_task = asyncio.create_task(self._stopping.wait()), asyncio.create_task(step)
        try:
            await asyncio.wait([stopping, step_task, *runs], return_when=asyncio.FIRST_COMPLETED)
            for task in (*runs, step_task):
                if task.done():
                    task.result()
        finally:
            await cancel([stopping, step_task])

    async def _stop_all(self) -> None:
        """SIGTERM to each program in turn, last started first: the later ones use the earlier ones. Then SIGKILL."""
        ending, forced = asyncio.create_task(self._terminate_all()), asyncio.create_task(self._forced.wait())
        await asyncio.wait([ending, forced], timeout=self._stop_s, return_when=asyncio.FIRST_COMPLETED)
        await cancel([ending, forced])
        await asyncio.gather(*(runner.kill() for runner in self._runners))

    async def _terminate_all(self) -> None:
        for runner in reversed(self._runners):
            await runner.end()

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._forced.set()
        self._stopping.set()


class _Runner:
    """Keeps one program running, by one process after the other."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._children: list[Child] = []

    async def keep(self) -> None:
        """Start a process whenever the last one has ended. Raises ServerError when none ever starts."""
        failures, has_started = 0, False
        while has_started or failures < TRIES:
            child = await self._next(_DELAYS_S[min(failures, TRIES - 1)])
            child.work()
            outcome = await child.ended(self._spare_loaded)
            if child.refused:
                raise Refusal(f"{self._program.name} cannot start")
            _log.warning("%s %s", child.name, outcome)
            stable = child.lived_s >= STABLE_S
            has_started = has_started or stable or child.had_loaded
            failures = 0 if stable else failures + 1
        raise ServerError(f"{self._program.name} does not stay up: {TRIES} times it {outcome} soon after its start")

    async def _next(self, delay_s: float) -> Child:
        await asyncio.sleep(delay_s)
        return await self._start()

    @property
    def works(self) -> bool:
        """Whether one of its processes works."""
        return any(child.works for child in self._children)

    def _spare_loaded(self) -> bool:
        return False

    async def _start(self) -> Child:
        child = await Child.start(self._program)
        self._children = [child, *(other for other in self._children if other.alive)]
        return child

    async def until_ready(self, limit_s: float) -> None:
        until_s = time.monotonic() + limit_s
        while self._program.ready is not None and not await self._program.ready():
            if time.monotonic() > until_s:
                raise ServerError(f"{self._program.name} is not ready after {limit_s:g} s")
            await asyncio.sleep(_POLL_INTERVAL_S)

    async def end(self) -> None:
        await asyncio.gather(*(child.terminate() for child in self._children))

    async def kill(self) -> None:
        await asyncio.gather(*(child.kill() for child in self._children))


class _RunnerWithSpare(_Runner):
    """Keeps one program running and a second process of it waiting as its spare."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._spare: Child | None = None
        self._spare_task: asyncio.Task[None] | None = None

    async def keep(self) -> None:
        try:
            await super().keep()
        finally:
            await self._stop_spare_task()

    async def _next(self, delay_s: float) -> Child:
        await self._stop_spare_task()
        spare, self._spare = self._spare, None
        child = spare if spare is not None and spare.alive else await super()._next(delay_s)
        self._spare_task = start(Loops(_log, "").repeat(self._keep_spare), _log)
        return child

    def _spare_loaded(self) -> bool:
        return self._spare is not None and self._spare.loaded

    async def _keep_spare(self) -> None:
        """Keep a spare running. A spare that keeps dying does not stop the others."""
        await asyncio.sleep(SPARE_AFTER_S)
        for failures in itertools.count(1):
            self._spare = await self._start()
            outcome = await self._spare.ended()
            _log.warning("the spare of %s %s", self._spare.name, outcome)
            await asyncio.sleep(_DELAYS_S[failures] if failures < len(_DELAYS_S) else _SPARE_DELAY_S)

    async def _stop_spare_task(self) -> None:
        if self._spare_task is not None:
            await cancel([self._spare_task])


@contextlib.contextmanager
def _signals(handler: Callable[[], None]) -> Iterator[None]:
    """Call `handler` at each termination signal, inside the block."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in endings()}
    for number in before:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, old)
