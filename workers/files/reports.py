"""Reports of how a task ended: functions that write it to Redis, which `lease.py` calls and repeats if necessary."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stream.errors import EngineError, MatteboxError, WeightsError, disk_error, is_disk_trouble, without_paths
from stream.records.job_store import JobStore, JobTask
from stream.records.jobs import REASONS, Job
from workers.files.tasks import Outcome, PlanMade, ResultsJoined, SegmentDone, SegmentsMissing

_log = logging.getLogger(__name__)

Report = Callable[[JobTask], Awaitable[Job]]
"""Writes the report to Redis. Called with the task as its lease was last renewed or restored. Raises NoJob, Fenced,
StoreDown."""


def of_outcome(outcome: Outcome, store: JobStore) -> Report:
    """The report of a task that succeeded."""
    match outcome:
        case PlanMade(plan, media, warnings, source):
            text = plan.model_dump_json()
            return lambda task: store.planned(task, text, plan.frames, media, warnings, source)
        case SegmentDone(frames, note):
            return lambda task: store.segment_done(task, frames, note.to_json())
        case ResultsJoined(results, warnings):
            return lambda task: store.joined(task, results, warnings)
        case SegmentsMissing(names):
            return lambda task: store.redo(task, names)


def of_failure(task: JobTask, exc: Exception, store: JobStore) -> Report:
    """The report of a task that raised `exc`; also logs the exception."""
    failure = failure_of(exc)
    known = isinstance(exc, MatteboxError) or (isinstance(exc, OSError) and is_disk_trouble(exc))
    _log.warning("job %s: %s failed: %s", task.job.id, task.name, failure.detail, exc_info=None if known else exc)
    return lambda task: store.fail(task, failure.code, without_paths(failure.detail), failure.retry)


@dataclass(frozen=True)
class Failure:
    """Why a task failed. code: one of `REASONS`. detail: for people. retry: whether the task is tried again, perhaps on
    another machine."""

    code: str
    detail: str
    retry: bool


def failure_of(exc: Exception) -> Failure:
    """Why a task that raised `exc` failed. It is tried again if an engine or weights caused the error, or if it is
    unexpected. Other errors are caused by the job itself, which then fails."""
    if isinstance(exc, OSError) and is_disk_trouble(exc):
        exc = disk_error(exc, "its files")
    if not isinstance(exc, MatteboxError):
        return Failure(MatteboxError.code, f"{type(exc).__name__}: {exc}", retry=True)
    code = exc.code if exc.code in REASONS else MatteboxError.code
    return Failure(code, str(exc), isinstance(exc, EngineError | WeightsError))
