"""Runs `mattebox worker --for files` with small real test engines, which are slow, fail, hang or kill their process.

`python -m tests.workers.files.worker_with_test_engines`
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands import serve
from stream.errors import EngineError
from stream.picture.frames import Frame
from stream.records.engines import ENGINES
from workers.engines.base import EngineState, Result
from workers.engines.chroma import Chroma
from workers.files import process


class Patient(Chroma):
    """Slow: 4 ms more per frame."""

    name = "patient"

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        time.sleep(0.004 * len(prepared))
        return super().infer(prepared, states)


class Deadly(Chroma):
    """Kills its process."""

    name = "deadly"

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []


class Greedy(Chroma):
    """Dies while it holds the lock of the stop event."""

    name = "greedy"

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        stop: Any = process._kept.watcher.stop
        stop._cond.acquire()
        os.kill(os.getpid(), signal.SIGKILL)
        return []


class Stuck(Chroma):
    """Never returns."""

    name = "stuck"

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        time.sleep(3600)
        return []


class Broken(Chroma):
    name = "broken"

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        raise EngineError("its weights are nonsense")


RECORDS = {
    kind.name: replace(
        ENGINES["chroma"], name=kind.name, place=f"tests.workers.files.worker_with_test_engines:{kind.__name__}"
    )
    for kind in (Patient, Deadly, Greedy, Stuck, Broken)
}


def _itself(*_: str) -> list[str]:
    return [sys.executable, "-m", "tests.workers.files.worker_with_test_engines"]


if __name__ == "__main__":
    ENGINES.update(RECORDS)
    serve._mattebox = _itself
    serve.worker(serve.For.FILES, verbose=1)
