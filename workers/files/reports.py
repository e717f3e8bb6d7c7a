"""Reports of how a task ended: functions that write it to Redis, which `lease.py` calls and repeats if necessary."""

import logging
from collections.abc import Awaitable, Callable

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
    """The report of a task that raised `exc`; also logs the exception.

    A task is retried, perhaps on another machine, if an engine or weights caused the error, or if it is unexpected.
    Other errors are caused by the job itself, which then fails.
    """
    if isinstance(exc, OSError) and is_disk_trouble(exc):
        exc = disk_error(exc, "its files")
    known = isinstance(exc, MatteboxError)
    code = exc.code if isinstance(exc, MatteboxError) and exc.code in REASONS else MatteboxError.code
    retry = not known or isinstance(exc, EngineError | WeightsError)
    _log.warning("job %s: %s failed: %s", task.job.id, task.name, exc, exc_info=None if known else exc)
    detail = str(exc) if known else f"{type(exc).__name__}: {exc}"
    return lambda task: store.fail(task, code, without_paths(detail), retry)
