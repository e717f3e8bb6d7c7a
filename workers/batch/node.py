"""Runs calls on one node, with the functions of file jobs (`workers/files/tasks.py`).

The working storage is inside the place of the results. A finished segment is stored with its note, so that an
interrupted batch continues with it. A result is complete in the working storage, and its record is written, before it
gets its final name. Knows nothing about Ray.
"""

import json
import time
from contextlib import suppress
from pathlib import Path

from stream.errors import BackgroundError, InputError, MatteboxError, UnreadableMedia, UsageError
from stream.records.job_store import JobTask
from stream.records.jobs import JOIN, PLAN, Job, StoredResult
from stream.settings import Settings
from stream.storage import keys, open_storage
from stream.storage.named import open_place, work_settings
from workers.batch.calls import Call, Failed, Finished, Missing, Outcome, Planned, Record, Segmented, Stopped
from workers.batch.films import Film
from workers.files import watcher
from workers.files.plan import Plan
from workers.files.reports import failure_of
from workers.files.tasks import PlanMade, ResultsJoined, SegmentDone, SegmentsMissing, Tasks, finished
from workers.files.watcher import Watcher
from workers.files.workspace import Desk


class Beats(Watcher):
    """Counts signs of progress, so that a call that hangs is noticed."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def begin(self) -> None:
        """Reset the number of frames for the next call."""
        self.frames = 0

    def beat(self) -> None:
        self.count += 1


class Node:
    """results: the address of their place. desk: a folder on this machine for temporary files. Raises MatteboxError."""

    def __init__(self, settings: Settings, results: str, desk: Path, name: str = "") -> None:
        self.watcher, self._name, self._original = Beats(), name, settings
        self._settings = work_settings(results, settings)
        self._storage = open_storage(self._settings, self.watcher.beat)
        self._results = open_place(results, settings)
        self._tasks = Tasks(self._settings, self._storage, Desk(desk), self._video)
        self._film: Film | None = None

    def run(self, call: Call) -> Outcome:
        """Run a call. Every error is an outcome."""
        self._film = call.film
        self.watcher.begin()
        try:
            return self._run(call)
        except watcher.Stopped:
            return Stopped()
        except Exception as exc:  # noqa: BLE001 - no error must end the node
            failure = failure_of(exc)
            retry = failure.retry or isinstance(exc, BackgroundError)
            if isinstance(exc, InputError | UsageError):  # others, such as a full disk, may be gone in the next run
                with suppress(MatteboxError):
                    self._storage.remove_all(keys.job(call.film.job.id))
            return Failed(code=failure.code, message=failure.detail, retry=retry, node=self._name)

    def _run(self, call: Call) -> Outcome:
        if call.task == PLAN:
            return self._plan(call)
        return self._join(call) if call.task == JOIN else self._segment(call)

    # The plan, and films that are not cut.

    def _plan(self, call: Call) -> Outcome:
        if record := self._unpublished(call.film):
            return self._publish(call, record)
        planned = self._stored_plan(call.film) or self._new_plan(call.film)
        call = with_plan(call, planned)
        if len(planned.segments) > 1:
            return planned.model_copy(update={"notes": self._notes(call)})
        segment = self._segment(call.model_copy(update={"task": planned.segments[0]}))
        total = {"frames": segment.frames, "seconds": planned.seconds + segment.seconds, "device": segment.device}
        return self._join(call.model_copy(update={"notes": {planned.segments[0]: segment.note}, **total}))

    def _new_plan(self, film: Film) -> Planned:
        began_s = time.monotonic()
        made = self._tasks.run(JobTask(film.job, PLAN, "", 0), self.watcher)
        assert isinstance(made, PlanMade)
        planned = Planned(
            plan=made.plan.model_dump_json(), segments=made.plan.names, media=made.media, warnings=tuple(made.warnings),
            source=made.source, seconds=_since(began_s),
        )  # fmt: skip
        if not made.plan.whole:
            self._store(keys.job_plan(film.job.id), planned.model_dump_json())
        return planned

    def _stored_plan(self, film: Film) -> Planned | None:
        """The plan of an earlier run."""
        text = self._read(keys.job_plan(film.job.id))
        return Planned.model_validate_json(text).model_copy(update={"seconds": 0.0}) if text else None

    def _notes(self, call: Call) -> dict[str, str]:
        """The notes of segments that are in storage."""
        assert call.planned is not None
        stored = finished(call.film.job, Plan.model_validate_json(call.planned.plan), self._storage)
        texts = {name: self._read(keys.job_note(call.film.job.id, name)) for name in stored}
        return {name: text for name, text in texts.items() if text}

    # Segments.

    def _segment(self, call: Call) -> Segmented:
        began_s = time.monotonic()
        done = self._tasks.run(_task(call, call.task), self.watcher)
        assert isinstance(done, SegmentDone)
        note = done.note.to_json()
        if call.planned is not None and len(call.planned.segments) > 1:
            self._store(keys.job_note(call.film.job.id, call.task), note)
        return Segmented(note=note, frames=done.frames, seconds=_since(began_s), device=self._tasks.device)

    # The join.

    def _join(self, call: Call) -> Outcome:
        began_s = time.monotonic()
        joined = self._tasks.run(_task(call, JOIN), self.watcher)
        if isinstance(joined, SegmentsMissing):
            return Missing(names=tuple(joined.names))
        assert isinstance(joined, ResultsJoined)
        (result,) = joined.results.values()
        return self._publish(call, self._record(call, joined, result, _since(began_s)))

    def _record(self, call: Call, joined: ResultsJoined, result: StoredResult, seconds: float) -> Record:
        assert call.planned is not None
        plan, media = Plan.model_validate_json(call.planned.plan), call.planned.media
        return Record(
            input=call.film.address,
            output=call.film.result,
            engine=plan.engine,
            device=call.device,
            frames=call.frames if plan.whole else sum(plan.frames),  # also those of an earlier run
            seconds=round(call.seconds + seconds, 3),
            width=media.width,
            height=media.height,
            duration_s=round(media.duration_s, 3),
            bytes=result.bytes,
            segments=len(plan.spans),
            warnings=tuple(dict.fromkeys([*call.planned.warnings, *joined.warnings])),
        )

    def _publish(self, call: Call, record: Record) -> Finished:
        """Give the result its final name. The record is written first: if this node dies in between, the next run finds
        a record whose result is still in the working storage, and continues here."""
        film = call.film
        self._store(keys.batch_done(film.result, film.job.id), record.model_dump_json())
        for id in call.stale:
            self._storage.remove(keys.batch_done(film.result, id))
        try:
            self._results.take(self._storage, keys.job_result(film.job.id, film.job.outputs[0]), film.result)
        except FileNotFoundError:  # a node that was believed to be lost was faster
            self._results.find(film.result)
        self._storage.remove_all(keys.job(film.job.id))
        return Finished(record=record)

    def _unpublished(self, film: Film) -> Record | None:
        """The record of a result that an earlier run has finished, but that has no final name yet."""
        text = self._read(keys.batch_done(film.result, film.job.id))
        with suppress(FileNotFoundError):
            self._storage.size(keys.job_result(film.job.id, film.job.outputs[0]))
            return Record.model_validate_json(text) if text else None
        return None

    # Files.

    def _video(self, job: Job, folder: Path) -> Path:
        """The video of a job on this machine. Raises UnreadableMedia if it is not the one that the driver found."""
        film = self._film
        assert film is not None
        if not film.place:
            return self._storage.local(job.source, folder)
        place = open_place(film.place, self._original)
        found = place.find(film.name)
        if (found.size, found.version) != (film.size, film.version):
            raise UnreadableMedia("the video was changed while the batch was running")
        return place.local(film.name, folder)

    def _store(self, key: str, text: str) -> None:
        self._storage.send(key, [text.encode()])

    def _read(self, key: str) -> str:
        """The text of an object; "" if there is none, or if it is damaged."""
        with suppress(FileNotFoundError):
            text = b"".join(self._storage.read(key)).decode(errors="replace")
            with suppress(ValueError):
                json.loads(text)
                return text
        return ""


def with_plan(call: Call, planned: Planned) -> Call:
    """The call of a film that is planned."""
    job = call.film.job.model_copy(update={"source": planned.source})
    return call.model_copy(update={"film": call.film.model_copy(update={"job": job}), "planned": planned})


def _task(call: Call, name: str) -> JobTask:
    assert call.planned is not None
    return JobTask(call.film.job, name, "", 0, call.planned.plan, call.notes)


def _since(began_s: float) -> float:
    return time.monotonic() - began_s
