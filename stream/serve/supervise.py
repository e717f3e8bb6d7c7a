"""Runs the programs of `mattebox serve` as one: starts them in order, keeps them up, ends them together.

A program that dies is started again, at once and then ever later. One that never came to stay up ends everything with
a reason; one that did is tried for ever, for what kills it may go away. A program with a spare has one more process
of it, loaded and waiting: when the one at work dies the spare is told within milliseconds to take over. No child
outlives this process (`stream.serve.lifeline`). Knows programs by their command lines only, and not what they do.

The child's side of a spare: load everything, then `wait_for_turn()`, then work.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.errors import ServerError
from stream.serve.lifeline import tied
from stream.signals import endings

_log = logging.getLogger(__name__)

STABLE_S = 5.0  # a process that lived so long did start
_DELAYS_S = (0.0, 0.2, 0.5, 1.0, 2.0)  # before each start in a row of failures
TRIES = len(_DELAYS_S)  # so many, and never a stable one: give up
SPARE_AFTER_S = 3.0  # the one at work has the machine to itself while it starts and while clients come back to it
_SPARE_DELAY_S = 30.0  # between later tries for a spare; nobody waits for it
REFUSED = 78  # exit code of a program that has said why it cannot start here; EX_CONFIG of sysexits.h
_LOOK_S = 0.05
_GO = b"go\n"


@dataclass(frozen=True)
class Program:
    """What to run. `ready` is asked until it says yes, before the next program is started."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # over this process's own
    ready: Callable[[], Awaitable[bool]] | None = None
    spare: bool = False


def wait_for_turn() -> None:
    """In a program with a spare: block until told to work. Ends the process when that will never be."""
    if sys.stdin.buffer.readline() != _GO:
        sys.exit(0)


class Refusal(ServerError):  # noqa: N818
    """A program ended with `REFUSED`: to start it again would be of no use, and it has said why itself."""


class Supervisor:
    """Runs `programs` until a signal, or until one cannot be kept up."""

    def __init__(self, programs: Sequence[Program], stop_s: float = 15.0, ready_s: float = 60.0) -> None:
        """`stop_s`: for all together to end after SIGTERM. `ready_s`: for each one's `ready`."""
        self._posts = [(_SparedPost if program.spare else _Post)(program) for program in programs]
        self._stop_s, self._ready_s = stop_s, ready_s
        self._asked, self._forced = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Start, keep up, and at SIGTERM, SIGINT or SIGHUP stop; a second signal does not wait. In the main thread.

        Raises ServerError, with everything stopped, when a program is not ready in time or never stays up, and
        Refusal when one says that it cannot start.
        """
        keeping: list[asyncio.Task[None]] = []
        with _signals(self._on_signal):
            try:
                await self._start(keeping)
                await self._unless_asked(asyncio.Event().wait(), keeping)
            finally:
                await _cancel(keeping)
                await self._drain()

    async def _start(self, keeping: list["asyncio.Task[None]"]) -> None:
        for post in self._posts:
            if not self._asked.is_set():
                keeping.append(asyncio.create_task(post.keep()))
                await self._unless_asked(post.until_ready(self._ready_s), keeping)

    async def _unless_asked(self, step: Coroutine[Any, Any, object], keeping: Sequence["asyncio.Task[None]"]) -> None:
        """Wait for `step`, but no longer once the end is asked for; raises as it, or a program given up, does."""
        asked, steps = asyncio.create_task(self._asked.wait()), asyncio.create_task(step)
        try:
            await asyncio.wait([asked, steps, *keeping], return_when=asyncio.FIRST_COMPLETED)
            for task in (*keeping, steps):
                if task.done():
                    task.result()
        finally:
            await _cancel([asked, steps])

    async def _drain(self) -> None:
        """SIGTERM to each program in turn, last started first, for the first ones serve the others; then SIGKILL."""
        ending, forced = asyncio.create_task(self._end_all()), asyncio.create_task(self._forced.wait())
        await asyncio.wait([ending, forced], timeout=self._stop_s, return_when=asyncio.FIRST_COMPLETED)
        await _cancel([ending, forced])
        await asyncio.gather(*(post.kill() for post in self._posts))

    async def _end_all(self) -> None:
        for post in reversed(self._posts):
            await post.end()

    def _on_signal(self) -> None:
        if self._asked.is_set():
            self._forced.set()
        self._asked.set()


class _Child:
    """One process, leader of its own group, so that a Ctrl-C in the terminal reaches only us."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = f"{name} (process {process.pid})"
        self._process = process
        self._since_s, self._lived_s = time.monotonic(), 0.0

    @classmethod
    async def start(cls, program: Program) -> "_Child":
        stdin = asyncio.subprocess.PIPE if program.spare else asyncio.subprocess.DEVNULL
        env = {**os.environ, **program.env}
        argv = tied(program.argv)
        process = await asyncio.create_subprocess_exec(*argv, stdin=stdin, env=env, start_new_session=True)
        return cls(program.name, process)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def stable(self) -> bool:
        """Has it worked so long that its end is no failure to start?"""
        return self._lived_s >= STABLE_S

    @property
    def refused(self) -> bool:
        return self._process.returncode == REFUSED

    def work(self) -> None:
        """Its turn, for a child that waits for that."""
        self._since_s = time.monotonic()
        if self._process.stdin is not None:
            self._process.stdin.write(_GO)

    async def ended(self) -> str:
        """Wait for its end, and end what it leaves behind; how it was, in words."""
        code = await self._process.wait()
        self._lived_s = time.monotonic() - self._since_s
        self._kill_group()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def terminate(self) -> None:
        if self.alive:
            self._process.terminate()
            await self.ended()

    async def kill(self) -> None:
        if self.alive:
            self._kill_group()
            await self._process.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


class _Post:
    """One program's place: always filled, by one process after the other."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._children: list[_Child] = []

    async def keep(self) -> None:
        """Fill the place again whenever it falls empty. Raises ServerError when nothing ever stays in it."""
        failures, proven = 0, False
        while proven or failures < TRIES:
            child = await self._next(_DELAYS_S[min(failures, TRIES - 1)])
            child.work()
            how = await child.ended()
            if child.refused:
                raise Refusal(f"{self._program.name} cannot start")
            _log.warning("%s %s", child.name, how)
            proven = proven or child.stable
            failures = 0 if child.stable else failures + 1
        raise ServerError(f"{self._program.name} does not stay up: {TRIES} times it {how} soon after its start")

    async def _next(self, delay_s: float) -> _Child:
        await asyncio.sleep(delay_s)
        return await self._start()

    async def _start(self) -> _Child:
        child = await _Child.start(self._program)
        self._children = [child, *(other for other in self._children if other.alive)]
        return child

    async def until_ready(self, limit_s: float) -> None:
        until_s = time.monotonic() + limit_s
        while self._program.ready is not None and not await self._program.ready():
            if time.monotonic() > until_s:
                raise ServerError(f"{self._program.name} is not ready after {limit_s:g} s")
            await asyncio.sleep(_LOOK_S)

    async def end(self) -> None:
        await asyncio.gather(*(child.terminate() for child in self._children))

    async def kill(self) -> None:
        await asyncio.gather(*(child.kill() for child in self._children))


class _SparedPost(_Post):
    """A place with a second process that is loaded and waits for the first one's end."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._spare: _Child | None = None
        self._filling: asyncio.Task[None] | None = None

    async def keep(self) -> None:
        try:
            await super().keep()
        finally:
            await self._stop_filling()

    async def _next(self, delay_s: float) -> _Child:
        await self._stop_filling()
        spare, self._spare = self._spare, None
        child = spare if spare is not None and spare.alive else await super()._next(delay_s)
        self._filling = asyncio.create_task(self._keep_spare())
        return child

    async def _keep_spare(self) -> None:
        """A spare that dies is started again too, but nothing depends on it."""
        await asyncio.sleep(SPARE_AFTER_S)
        for failures in itertools.count(1):
            self._spare = await self._start()
            how = await self._spare.ended()
            _log.warning("the spare of %s %s", self._spare.name, how)
            await asyncio.sleep(_DELAYS_S[failures] if failures < len(_DELAYS_S) else _SPARE_DELAY_S)

    async def _stop_filling(self) -> None:
        if self._filling is not None:
            await _cancel([self._filling])


async def _cancel(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _signals(handler: Callable[[], None]) -> Iterator[None]:
    """Calls `handler` for each signal that asks for the end."""
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
