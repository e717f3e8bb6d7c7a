"""A supervised program and one process of it: started, watched, and killed when it hangs."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.serve.die_with_parent import tied
from stream.serve.watch import Liveness, Watch

REFUSED = 78  # exit code of a program that has printed why it cannot start; EX_CONFIG of sysexits.h
_KILLED_S = 2.0  # for the end of a killed process; one that is blocked in a driver may never end, and is left behind
_GO = b"go\n"


@dataclass(frozen=True)
class Program:
    """A program to run. ready: polled until True; only then the next program starts. spare: keep a hot standby. watch:
    None: only its exit is detected."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # added to this process's environment
    ready: Callable[[], Awaitable[bool]] | None = None
    spare: bool = False
    watch: Watch | None = None


async def wait_for_turn() -> None:
    """In a program with a spare: wait until it is its turn. Exits when the supervisor is gone."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()
    readable = asyncio.Event()
    loop.add_reader(stdin, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(stdin)
    if os.read(stdin, len(_GO)) != _GO:
        sys.exit(0)


class Child:
    """One process in its own process group, so that Ctrl-C in the terminal reaches only the supervisor.

    Once it has ended: lived_s: how long it worked. had_loaded: whether a heartbeat said that it works or can begin to.
    """

    def __init__(self, program: Program, process: asyncio.subprocess.Process, liveness: Liveness | None) -> None:
        self.name = f"{program.name} (process {process.pid})"
        self._process, self._liveness = process, liveness
        self._since_s, self.lived_s, self.had_loaded = time.monotonic(), 0.0, False
        self._abandoned = False

    @classmethod
    async def start(cls, program: Program) -> "Child":
        stdin = asyncio.subprocess.PIPE if program.spare else asyncio.subprocess.DEVNULL
        liveness = None if program.watch is None else Liveness(program.watch, program.name)
        env = {**os.environ, **program.env, **(liveness.environment() if liveness else {})}
        pipes = liveness.inherited() if liveness else ()
        argv = tied(program.argv)
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=stdin, env=env, start_new_session=True, pass_fds=pipes
        )
        if liveness:
            liveness.started()
        return cls(program, process, liveness)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._abandoned

    @property
    def refused(self) -> bool:
        """Whether it exited with `REFUSED`."""
        return self._process.returncode == REFUSED

    def work(self) -> None:
        """Tell a process that waits as a hot standby to begin its work."""
        self._since_s = time.monotonic()
        if self._process.stdin is not None:
            self._process.stdin.write(_GO)

    @property
    def loaded(self) -> bool:
        """Whether it is alive and its heartbeats say that it can work."""
        return self.alive and self._liveness is not None and self._liveness.loaded

    @property
    def works(self) -> bool:
        """Whether it is alive and has started; it may be loading something else since. A program that hangs is killed,
        so it does not work for long."""
        return self.alive and (self._liveness is None or self._liveness.has_started)

    async def ended(self, spare_loaded: Callable[[], bool] = lambda: False) -> str:
        """Wait for its end, or kill it when it hangs, and kill the rest of its process group. Returns how it ended, as
        text. spare_loaded: whether another process of the program can take over."""
        liveness = self._liveness
        exited = asyncio.create_task(self._process.wait())
        hanging = asyncio.create_task(liveness.lost(spare_loaded) if liveness else asyncio.Event().wait())
        try:
            await asyncio.wait([exited, hanging], return_when=asyncio.FIRST_COMPLETED)
            hung = "" if exited.done() else str(hanging.result())
            self.lived_s = time.monotonic() - self._since_s
            self._kill_group()
            await asyncio.wait([exited], timeout=_KILLED_S)
        finally:
            await cancel([exited, hanging])
        if liveness:
            self.had_loaded = liveness.close()
        return self._outcome(hung)

    def _outcome(self, hung: str) -> str:
        code = self._process.returncode
        self._abandoned = code is None
        if hung:
            return f"{hung} and {'was killed' if code is not None else 'cannot be killed; it is left behind'}"
        return f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit code {code}"

    async def terminate(self) -> None:
        if self.alive:
            self._process.terminate()
            await self.ended()

    async def kill(self) -> None:
        if self.alive:
            self._kill_group()
            await asyncio.wait([asyncio.create_task(self._process.wait())], timeout=_KILLED_S)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


async def cancel(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
