"""The nodes of a batch in this process, for tests; and what they make."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stream.progress import JsonReporter
from stream.settings import Settings
from stream.storage import open_storage
from stream.storage.named import open_place, work_settings
from tests.workers.batch.test_intake import request
from workers.batch.calls import Call, read_outcome
from workers.batch.films import Request
from workers.batch.inputs import in_place
from workers.batch.intake import Intake
from workers.batch.node import Node
from workers.batch.report import ReportFile
from workers.batch.run import Batch, Ended, Summary

SETTINGS = Settings(hw_encode=False, threads=1)


class Inside:
    """Runs a call when it is waited for. before: called with each call before it runs; an Ended that it returns is the
    end of the call, which then does not run."""

    def __init__(
        self, results: str, folder: Path, settings: Settings = SETTINGS, count: int = 2,
        before: Callable[[Call], Ended | None] = lambda call: None,
    ) -> None:  # fmt: skip
        self.idle = count
        self.frames = 0
        self.log: list[tuple[str, str]] = []
        self.most = 0
        self.closed = False
        self._free = [Node(settings, results, folder / f"node{n}", f"node{n}") for n in range(count)]
        self._running: list[tuple[Node, Call]] = []
        self._before = before

    def start(self, call: Call) -> None:
        self.idle -= 1
        self._running.append((self._free.pop(), call))
        self.most = max(self.most, len({call.film.job.id for _, call in self._running}))

    def wait(self, timeout_s: float) -> list[Ended]:
        if not self._running or (self.idle and not timeout_s):
            return []
        node, call = self._running.pop(0)
        self.log.append((call.film.result, call.task))
        ended = self._before(call)
        if ended is None:
            sent = Call.model_validate_json(call.model_dump_json())
            ended = Ended(call, read_outcome(node.run(sent).model_dump_json()))
        self._free.append(node)
        self.idle += 1
        return [ended]

    def close(self) -> None:
        self.closed = True


def run(
    films: str, results: str, folder: Path, *, of: Request | None = None, settings: Settings = SETTINGS,
    overwrite: bool = False, count: int = 2, before: Callable[[Call], Ended | None] = lambda call: None,
) -> tuple[Summary, Inside, io.StringIO]:  # fmt: skip
    """A batch of the videos in the place `films`, on nodes in this process. Returns its JSON lines, too."""
    storage = open_storage(work_settings(results, settings))
    intake = Intake.of(storage, open_place(results, settings).names(), overwrite)
    nodes, out = Inside(results, folder, settings, count, before), io.StringIO()
    report = ReportFile(storage, folder)
    batch = Batch(of or request(), results, intake, nodes, report, JsonReporter(out))
    return batch.run(in_place(films, results, settings, folder)), nodes, out


def rows(storage: Any, prefix: str = "batch/reports/") -> list[str]:
    """The lines of all reports."""
    parts = [key for key in storage.keys(prefix) if key.endswith(".jsonl")]
    return [line for key in parts for line in b"".join(storage.read(key)).decode().splitlines()]
