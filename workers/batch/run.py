"""Runs a batch: takes inputs, gives calls to the nodes of a cluster, and reports.

Work in progress is bounded by the number of nodes. Knows no concrete cluster: `ray_cluster.py` is one.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from stream.errors import BackgroundError, MatteboxError, UsageError, WeightsError
from stream.progress import Report, Reporter
from stream.storage.named import WORK
from workers.batch.calls import Call, Failed, Outcome, Record
from workers.batch.dispatch import Dispatch
from workers.batch.films import Film, Request
from workers.batch.inputs import BadInput, Input
from workers.batch.intake import Decision, Intake, Verdict
from workers.batch.report import ReportFile

_LOOK_S = 0.5
_PROGRESS_S = 5.0
_DECISIONS = 100  # inputs looked at before nodes are looked at again: most may be done already
_OF_ALL = {error.code: error for error in (WeightsError, BackgroundError)}  # errors that all other films would have too


@dataclass(frozen=True)
class Ended:
    """A call that has ended. outcome: None if its node was lost. crashed: as in `Dispatch.lost`."""

    call: Call
    outcome: Outcome | None
    crashed: bool = False


class Cluster(Protocol):
    """Nodes that run calls, one at a time each. Raises MatteboxError if no node can work."""

    @property
    def idle(self) -> int:
        """Number of nodes that are ready and have no call."""
        ...

    @property
    def frames(self) -> int:
        """Number of frames that the running calls have written, as last reported."""
        ...

    def start(self, call: Call) -> None:
        """Give a call to an idle node."""
        ...

    def wait(self, timeout_s: float) -> list[Ended]:
        """Wait until a call ends or the state of a node changes, at most so long."""
        ...

    def close(self) -> None:
        """Ask the running calls to end, and release the nodes."""
        ...


@dataclass(frozen=True)
class Summary:
    """How many inputs were done, failed, were skipped because an earlier run did them, and were kept: their result
    exists, but was not made by this request."""

    done: int = 0
    failed: int = 0
    skipped: int = 0
    kept: int = 0

    def __str__(self) -> str:
        kept = f", {self.kept} kept" if self.kept else ""
        return f"{self.done} done, {self.failed} failed, {self.skipped} skipped{kept}"


class Batch:
    """One run. results: the address of their place, for messages."""

    def __init__(
        self, request: Request, results: str, intake: Intake, cluster: Cluster, report: ReportFile, reporter: Reporter
    ) -> None:
        self._request, self._fingerprint, self._results = request, request.fingerprint(), results
        self._intake, self._cluster, self._report, self._reporter = intake, cluster, report, reporter
        self._dispatch = Dispatch(self._done, self._failed)
        self._counts, self._frames = Counter[str](), 0
        self._began_s = self._told_s = time.monotonic()
        self._fault: MatteboxError | None = None

    def run(self, inputs: Iterable[Input | BadInput]) -> Summary:
        """Matte the inputs. An error of one does not stop the others. Raises WeightsError and BackgroundError, which
        all would have, and errors of the cluster. When interrupted, what is done stays done."""
        try:
            self._run(iter(inputs))
        finally:
            try:
                self._cluster.close()
            finally:
                summary = self._close()
        return summary

    def _run(self, inputs: Iterator[Input | BadInput]) -> None:
        more, running = True, 0
        while more or running or len(self._dispatch):
            while self._cluster.idle and (call := self._dispatch.next()):
                self._cluster.start(call)
                running += 1
            if more and self._cluster.idle:
                more = self._open_next(inputs)
            idle = self._cluster.idle and (more or not running)
            for ended in self._cluster.wait(0.0 if idle else _LOOK_S):
                running -= 1
                self._ended(ended)
            if self._fault is not None:
                raise self._fault
            self._progress()

    def _ended(self, ended: Ended) -> None:
        if ended.outcome is None:
            self._dispatch.lost(ended.call, ended.crashed)
        else:
            self._dispatch.ended(ended.call, ended.outcome)

    # Inputs.

    def _open_next(self, inputs: Iterator[Input | BadInput]) -> bool:
        """Open the next film that has to be matted; at most `_DECISIONS` inputs are read. False at their end."""
        for _ in range(_DECISIONS):
            source = next(inputs, None)
            if source is None:
                return False
            if isinstance(source, BadInput):
                self._refused(source.address, "", source.error.code, str(source.error))
                continue
            film = self._request.film(source, self._fingerprint)
            if film.address == self._output(film):
                self._refused(
                    film.address, film.address, UsageError.code, "its result would replace it; choose another DST"
                )
                continue
            verdict = self._intake.decide(film)
            if verdict.decision is Decision.RUN:
                self._dispatch.open(film, verdict.stale)
                return True
            self._left_out(film, verdict)
        return True

    def _left_out(self, film: Film, verdict: Verdict) -> None:
        output = self._output(film)
        if verdict.decision is Decision.CLASH:
            self._refused(film.address, output, UsageError.code, verdict.why)
            return
        state = "skipped" if verdict.decision is Decision.DONE else "kept"
        self._counts[state] += 1
        text = f"skipped: {output} is done" if state == "skipped" else f"kept: {output} {verdict.why}"
        fields = {"input": film.address, "output": output} | ({"message": verdict.why} if verdict.why else {})
        self._reporter.event(state, fields, text)
        self._report.add({"state": state, **fields, **_identity(film)})

    def _refused(self, address: str, output: str, code: str, message: str, **identity: Any) -> None:
        self._counts["failed"] += 1
        fields = {"input": address, "output": output, "code": code, "message": message}
        text = message if address in message else f"{address}: {message}"
        self._reporter.event("failed", fields, f"error: {text}")
        self._report.add({"state": "failed", **fields, **identity})

    # Films.

    def _done(self, film: Film, record: Record) -> None:
        self._counts["done"] += 1
        self._frames += record.frames
        fps = round(record.frames / record.seconds, 2) if record.seconds else 0.0
        output, warnings = self._output(film), list(record.warnings)
        row = record.model_dump() | {"output": output, "fps": fps, "warnings": json.dumps(_as_json(warnings))}
        self._report.add({"state": "done", **row, **_identity(film)})
        self._reporter.done(
            Report(
                film.address, output, record.engine, record.device, record.frames, record.seconds, fps, 0.0,
                record.width, record.height, warnings,
            )
        )  # fmt: skip

    def _failed(self, film: Film, failure: Failed) -> None:
        where = f" (on {failure.node})" if failure.node and failure.code in _OF_ALL else ""
        self._refused(film.address, self._output(film), failure.code, failure.message + where, **_identity(film))
        if error := _OF_ALL.get(failure.code):
            self._fault = error(failure.message + where)

    def _output(self, film: Film) -> str:
        return f"{self._results.rstrip('/')}/{film.result}"

    # Progress.

    def _progress(self) -> None:
        now_s = time.monotonic()
        self._report.store_if_due()
        if now_s - self._told_s < _PROGRESS_S or not len(self._dispatch):
            return
        self._told_s = now_s
        frames = self._frames + self._cluster.frames
        fps = round(frames / (now_s - self._began_s), 1)
        fields = {**asdict(self._summary()), "in_progress": len(self._dispatch), "frames": frames, "fps": fps}
        text = f"{self._summary()}, {len(self._dispatch)} in progress; {frames} frames, {fps:.1f} fps"
        self._reporter.event("progress", fields, text)

    def _summary(self) -> Summary:
        return Summary(**{name: self._counts[name] for name in ("done", "failed", "skipped", "kept")})

    def _close(self) -> Summary:
        summary = self._summary()
        with suppress(MatteboxError):  # of a full disk, the films that failed of it have told
            self._report.store()
        place = f"{self._results.rstrip('/')}/{WORK}/{self._report.key}"
        if self._report.parts:
            self._reporter.message(f"report: {place}")
        self._reporter.event("summary", asdict(summary) | {"report": place}, str(summary))
        return summary


def _identity(film: Film) -> dict[str, Any]:
    return {"input_bytes": film.size, "input_version": film.version, "job": film.job.id}


def _as_json(warnings: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"code": code, "message": sentence} for code, sentence in warnings]
