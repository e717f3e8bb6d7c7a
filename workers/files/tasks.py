"""The tasks of a file job as a worker does them, one at a time, in a thread: plan, segment, join.

Between storage and `workers/files/segments.py`; knows nothing about Redis. Each gives its outcome, to be written down
by the caller; doing one again does no harm.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stream.errors import FetchError, UnreadableMedia
from stream.fetch.pull import fetch
from stream.pump import Warnings
from stream.records.job_store import JobTask
from stream.records.jobs import Job, Media, Output, StoredResult
from stream.records.keys import PLAN, segment_name
from stream.settings import Settings
from stream.sinks.joined import Part
from stream.storage import Storage, keys
from workers import engines
from workers.engines.base import Engine
from workers.files import segments
from workers.files.plan import Plan, make_plan
from workers.files.segments import Note, Segment, Stopped, Watcher
from workers.files.workspace import Desk


@dataclass(frozen=True)
class PlanMade:
    plan: Plan
    media: Media
    warnings: Warnings
    source: str


@dataclass(frozen=True)
class SegmentDone:
    """A segment is in storage."""

    frames: int
    note: Note


@dataclass(frozen=True)
class ResultsJoined:
    results: dict[str, StoredResult]
    warnings: Warnings


@dataclass(frozen=True)
class SegmentsMissing:
    """Segments that were to be joined and are not in storage any more."""

    names: list[str]


Outcome = PlanMade | SegmentDone | ResultsJoined | SegmentsMissing


def segment_key(job: Job, plan: Plan, number: int, output: Output) -> str:
    """A video in one segment needs no joining: it is the result."""
    return keys.job_result(job.id, output) if plan.whole else keys.job_segment(job.id, number, output)


def finished(job: Job, plan: Plan, storage: Storage) -> list[str]:
    """The names of the segments that lie in storage, all outputs of each."""
    there = set(storage.keys(keys.job(job.id)))
    return [
        segment_name(number)
        for number in range(len(plan.spans))
        if all(segment_key(job, plan, number, output) in there for output in job.outputs)
    ]


class Tasks:
    """Keeps the engine last used, and the video last fetched, for a worker mostly gets more of the same."""

    def __init__(self, settings: Settings, storage: Storage, desk: Desk) -> None:
        self._settings, self._storage, self._desk = settings, storage, desk
        self._engine: tuple[object, Engine] | None = None
        self._video: tuple[str, Path] | None = None

    def run(self, task: JobTask, watcher: Watcher) -> Outcome:
        """Raises MatteboxError, OSError, and Stopped where `watcher.stop` was set; no temporary file is left."""
        if self._video is not None and self._video[0] != task.job.id:
            self._forget_video()
        folder = self._desk.fresh("task")
        try:
            if task.name == PLAN:
                return self._plan(task.job, folder, watcher)
            plan = Plan.model_validate_json(task.plan)
            if task.name.isdigit():
                return self._segment(Segment(task.job, plan, int(task.name), self._path(task.job)), folder, watcher)
            return self._join(task.job, plan, task.notes, folder, watcher)
        except BaseException:
            self._forget_video()
            raise
        finally:
            self._desk.remove("task")

    def _plan(self, job: Job, folder: Path, watcher: Watcher) -> PlanMade:
        segments.check(job)
        name, _ = engines.choose(job.options, live=False, settings=self._settings)
        source = job.source or self._fetch(job, folder, watcher)
        path = self._path(job.model_copy(update={"source": source}))
        plan, media, warnings = make_plan(job, path, self._loaded(job, name), self._settings, watcher.beat)
        return PlanMade(plan, media, warnings, source)

    def _fetch(self, job: Job, folder: Path, watcher: Watcher) -> str:
        def stopped() -> bool:
            watcher.beat()
            return watcher.stop.is_set()

        key = keys.job_source(job.id)
        try:
            path = fetch(job.url, folder, self._settings, stopped)
        except FetchError:
            if watcher.stop.is_set():
                raise Stopped from None
            raise
        self._storage.put(key, path)
        return key

    def _segment(self, what: Segment, folder: Path, watcher: Watcher) -> SegmentDone:
        engine = self._loaded(what.job, what.plan.engine)
        note = segments.run_segment(what, folder, engine, self._settings, watcher)
        if watcher.stop.is_set():
            raise Stopped
        for output, path in zip(what.job.outputs, what.files(folder), strict=True):
            self._storage.put(segment_key(what.job, what.plan, what.number, output), path)
        return SegmentDone(watcher.frames, note)

    def _join(
        self, job: Job, plan: Plan, texts: Mapping[str, str], folder: Path, watcher: Watcher
    ) -> ResultsJoined | SegmentsMissing:
        there = finished(job, plan, self._storage)
        if len(there) < len(plan.spans):
            names = (segment_name(number) for number in range(len(plan.spans)))
            return SegmentsMissing([name for name in names if name not in there])
        notes = [_note(texts.get(segment_name(number), ""), plan, number) for number in range(len(plan.spans))]
        warnings = segments.judge(notes, self._settings)
        for output in [] if plan.whole else job.outputs:
            warnings += self._joined(job, plan, output, notes, folder, watcher)
        results = {output.name: self._result(job, output) for output in job.outputs}
        return ResultsJoined(results, list(dict.fromkeys(warnings)))

    def _joined(
        self, job: Job, plan: Plan, output: Output, notes: list[Note], folder: Path, watcher: Watcher
    ) -> Warnings:
        """One output, from storage to storage. Only a GIF for another machine is a file of this one first."""
        key = keys.job_result(job.id, output)
        final = self._storage.draft(key)
        if final is None and output.format != "gif":
            return self._sent(job, plan, output, notes, watcher)
        final = final or folder / f"{output.name}{output.kind.result_suffix}"
        with segments.Whole(job, plan, self._path(job), self._settings) as whole:
            warnings = whole.join(output, self._parts(job, plan, output, notes, watcher), final, watcher.beat)
        self._storage.put(key, final)
        return warnings

    def _sent(self, job: Job, plan: Plan, output: Output, notes: list[Note], watcher: Watcher) -> Warnings:
        """Each part is fetched twice, so that the whole never lies here."""
        with segments.Whole(job, plan, self._path(job), self._settings) as whole:
            known = whole.rehearse(output, self._parts(job, plan, output, notes, watcher), watcher.beat)
        with segments.Whole(job, plan, self._path(job), self._settings) as whole:
            pieces = whole.perform(known, output, self._parts(job, plan, output, notes, watcher), watcher.beat)
            self._storage.send(keys.job_result(job.id, output), pieces)
        return known.warnings

    def _parts(self, job: Job, plan: Plan, output: Output, notes: list[Note], watcher: Watcher) -> Iterator[Part]:
        """One after the other: what was fetched is removed before the next is."""
        for number, note in enumerate(notes):
            if watcher.stop.is_set():
                raise Stopped
            watcher.beat()
            folder = self._desk.fresh("part")
            yield Part(self._storage.local(segment_key(job, plan, number, output), folder), note.first)
        self._desk.remove("part")

    def _result(self, job: Job, output: Output) -> StoredResult:
        key = keys.job_result(job.id, output)
        return StoredResult(key=key, bytes=self._storage.size(key), mime=output.kind.mime)

    def _path(self, job: Job) -> Path:
        """The job's video on this machine. Raises UnreadableMedia when it is not there any more."""
        if self._video is None:
            folder = self._desk.fresh("video")
            try:
                self._video = job.id, self._storage.local(job.source, folder)
            except FileNotFoundError:
                raise UnreadableMedia("the uploaded video is not there any more") from None
        return self._video[1]

    def _forget_video(self) -> None:
        self._video = None
        self._desk.remove("video")
        self._desk.remove("part")

    def _loaded(self, job: Job, name: str) -> Engine:
        options = job.options
        key = (name, options.key, options.foreground, options.roi)
        if self._engine is None or self._engine[0] != key:
            self._engine = None  # before the next takes memory
            self._engine = key, engines.load(name, options, self._settings)
        return self._engine[1]


def _note(text: str, plan: Plan, number: int) -> Note:
    """What the segment's worker said; where Redis lost it, what is to be expected."""
    if not text:
        return Note(plan.first if number == 0 else plan.spans[number][0] or 0, 0, 0, [])
    fields = json.loads(text)
    return Note(**fields | {"warnings": [(code, sentence) for code, sentence in fields["warnings"]]})


def written(note: Note) -> str:
    return json.dumps(dataclasses.asdict(note))
