"""Runs the tasks of jobs: plan, segment or join, one at a time. For a job that lists candidates, the only segment is
the search.

A task reads its input from storage, calls `plan.py`, `segments.py` or `join.py`, stores the result, and returns an
outcome, which the caller reports. Tasks are idempotent. Knows nothing about Redis.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from stream.errors import FetchError, UnreadableMedia
from stream.fetch.safe_http import fetch
from stream.pump import Warnings
from stream.records.candidates import CandidateSearch
from stream.records.job_store import JobTask
from stream.records.jobs import PLAN, Job, Media, Output, StoredResult, segment_name
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.parts.joined import Part
from stream.storage import Storage, keys
from workers import choosers, engines
from workers.choosers.base import Lister
from workers.edges import foreground
from workers.engines.base import Engine
from workers.files import search, segments
from workers.files.join import Whole
from workers.files.note import Note, judge
from workers.files.plan import Plan, make_plan
from workers.files.segments import Segment
from workers.files.watcher import Watcher
from workers.files.work import Work
from workers.files.workspace import Desk


@dataclass(frozen=True)
class PlanMade:
    """The job is planned. source: the storage key of its video."""

    plan: Plan
    media: Media
    warnings: Warnings
    source: str


@dataclass(frozen=True)
class SegmentDone:
    """All outputs of a segment are in storage. frames: number of frames written."""

    frames: int
    note: Note


@dataclass(frozen=True)
class ResultsJoined:
    """All outputs of the job are in storage. results: by name of the output."""

    results: dict[str, StoredResult]
    warnings: Warnings


@dataclass(frozen=True)
class SegmentsMissing:
    """The join found that these segments are no longer in storage."""

    names: list[str]


T = TypeVar("T", Engine, Lister)
Outcome = PlanMade | SegmentDone | ResultsJoined | SegmentsMissing


def segment_key(job: Job, plan: Plan, number: int, output: Output) -> str:
    """The storage key of a segment's output. If the video is not cut, this is the key of the result itself."""
    return result_key(job, output) if plan.whole else keys.job_segment(job.id, number, output)


def result_key(job: Job, output: Output) -> str:
    """The storage key of a result."""
    return keys.job_result(job.id, output) if job.search is None else keys.job_candidates(job.id)


def finished(job: Job, plan: Plan, storage: Storage) -> list[str]:
    """The names of the segments whose outputs are all in storage."""
    stored = set(storage.keys(keys.job(job.id)))
    return [
        segment_name(number)
        for number in range(len(plan.spans))
        if all(segment_key(job, plan, number, output) in stored for output in job.outputs)
    ]


class Tasks:
    """Runs tasks, and keeps the last engine and video between them: the next task is usually of the same job.

    video: returns a job's video as a local file, or a copy in the folder; raises FileNotFoundError. By default it is
    the object `Job.source` of the storage.
    """

    def __init__(
        self, settings: Settings, storage: Storage, desk: Desk, video: Callable[[Job, Path], Path] | None = None
    ) -> None:
        self._settings, self._storage, self._desk = settings, storage, desk
        self._find = video or (lambda job, folder: storage.local(job.source, folder))
        self._kept: tuple[object, Engine | Lister] | None = None
        self._video: tuple[str, Path] | None = None

    @property
    def device(self) -> str:
        """The device of the last engine or chooser; "" before the first task."""
        return self._kept[1].device if self._kept else ""

    def run(self, task: JobTask, watcher: Watcher) -> Outcome:
        """Run a task. Keeps no temporary files but the video. Raises MatteboxError, OSError, and Stopped if stopped."""
        if self._video is not None and self._video[0] != task.job.id:
            self._forget_video()
        folder = self._desk.fresh("task")
        try:
            if task.name == PLAN:
                return self._plan(task.job, folder, watcher)
            if task.name.isdigit():
                return self._segment(Segment(self._work(task, watcher), int(task.name)), folder)
            return self._join(task, folder, watcher)
        except BaseException:
            self._forget_video()
            raise
        finally:
            self._desk.remove("task")

    # The plan.

    def _plan(self, job: Job, folder: Path, watcher: Watcher) -> PlanMade:
        if job.search is not None:
            return PlanMade(*search.make_plan(job.search, job, self._settings), [], job.source)
        segments.check(job)
        name, _ = engines.choose(job.options, live=False, settings=self._settings)
        source = job.source or self._fetch(job, folder, watcher)
        path = self._path(job.model_copy(update={"source": source}))
        chooser, _ = choosers.choose(job.options, live=False, settings=self._settings)
        plan, media, warnings = make_plan(job, path, self._loaded(job, name, chooser), self._settings, watcher.beat)
        return PlanMade(plan, media, warnings, source)

    def _fetch(self, job: Job, folder: Path, watcher: Watcher) -> str:
        def stopped() -> bool:
            watcher.beat()
            return watcher.stop.is_set()

        key = keys.job_source(job.id)
        try:
            path = fetch(job.url, folder, self._settings, stopped)
        except FetchError:
            watcher.check()
            raise
        self._storage.put(key, path)
        return key

    # Segments.

    def _work(self, task: JobTask, watcher: Watcher) -> Work:
        plan = Plan.model_validate_json(task.plan)
        return Work(task.job, plan, self._path(task.job), self._settings, watcher)

    def _segment(self, segment: Segment, folder: Path) -> SegmentDone:
        work = segment.work
        if work.job.search is not None:
            return self._search(work, work.job.search, folder)
        engine = self._loaded(work.job, work.plan.engine, work.plan.chooser)
        note = segments.run_segment(segment, folder, engine)
        work.watcher.check()
        for output, path in zip(work.job.outputs, segment.files(folder), strict=True):
            self._storage.put(segment_key(work.job, work.plan, segment.number, output), path)
        return SegmentDone(work.watcher.frames, note)

    def _search(self, work: Work, wanted: CandidateSearch, folder: Path) -> SegmentDone:
        name = work.plan.chooser
        chooser = self._keep(("lister", name), lambda: choosers.load_lister(name, self._settings))
        path = folder / search.FILE
        path.write_bytes(search.run(wanted, work.job, work.path, chooser, self._settings))
        work.watcher.check()
        self._storage.put(keys.job_candidates(work.job.id), path)
        return SegmentDone(1, Note.expected(work.plan, 0))

    # The join.

    def _join(self, task: JobTask, folder: Path, watcher: Watcher) -> ResultsJoined | SegmentsMissing:
        job, plan = task.job, Plan.model_validate_json(task.plan)
        done = finished(job, plan, self._storage)
        if missing := [name for name in plan.names if name not in done]:
            return SegmentsMissing(missing)
        notes = _notes(task, plan)
        warnings = judge(notes, self._settings)
        if not plan.whole:
            work = self._work(task, watcher)
            for output in job.outputs:
                warnings += self._join_output(work, notes, output, folder)
        results = {output.name: self._result(job, output) for output in job.outputs}
        return ResultsJoined(results, list(dict.fromkeys(warnings)))

    def _join_output(self, work: Work, notes: Sequence[Note], output: Output, folder: Path) -> Warnings:
        """Join the segments of one output, from storage to storage.

        Folder storage gets the output written in place. For remote storage it is sent while it is joined, except a GIF,
        which is written to a local file first.
        """
        key = keys.job_result(work.job.id, output)
        final = self._storage.draft(key)
        if final is None and output.format != "gif":
            return self._send_output(work, notes, output)
        final = final or folder / f"{output.name}{output.kind.result_suffix}"
        with Whole(work) as whole:
            warnings = whole.join(output, self._parts(work, notes, output), final)
        work.watcher.check()
        self._storage.put(key, final)
        return warnings

    def _send_output(self, work: Work, notes: Sequence[Note], output: Output) -> Warnings:
        """Join an output in two passes that both download its parts, so that this machine never stores all of it."""
        with Whole(work) as whole:
            first = whole.first_pass(output, self._parts(work, notes, output))
        with Whole(work) as whole:
            pieces = whole.second_pass(first, output, self._parts(work, notes, output))
            self._storage.send(keys.job_result(work.job.id, output), pieces)
        return first.warnings

    def _parts(self, work: Work, notes: Sequence[Note], output: Output) -> Iterator[Part]:
        """Download the parts of an output one after the other; each is removed before the next is downloaded."""
        for number, note in enumerate(notes):
            work.watcher.check()
            work.watcher.beat()
            folder = self._desk.fresh("part")
            yield Part(self._storage.local(segment_key(work.job, work.plan, number, output), folder), note.first)
        self._desk.remove("part")

    def _result(self, job: Job, output: Output) -> StoredResult:
        key = result_key(job, output)
        mime = output.kind.mime if job.search is None else search.MIME
        return StoredResult(key=key, bytes=self._storage.size(key), mime=mime)

    # Kept for the next task.

    def _path(self, job: Job) -> Path:
        """The job's video on this machine. Raises UnreadableMedia when storage no longer has it."""
        if self._video is None:
            folder = self._desk.fresh("video")
            try:
                self._video = job.id, self._find(job, folder)
            except FileNotFoundError:
                raise UnreadableMedia("the video no longer exists") from None
        return self._video[1]

    def _forget_video(self) -> None:
        self._video = None
        self._desk.remove("video")
        self._desk.remove("part")

    def _loaded(self, job: Job, name: str, chooser: str) -> Engine:
        """chooser: its name; "" for a video without subjects."""
        options = _showing_most(job)
        options = options.model_copy(update={"chooser": chooser}) if chooser else options
        colours = foreground.should_estimate(options, soft=True)  # depends on view and background, too
        key = (name, chooser, engines.read_options(options), options.keep, colours)
        return self._keep(key, lambda: engines.load(name, options, self._settings))

    def _keep(self, key: object, load: Callable[[], T]) -> T:
        """What was loaded for this key, or is loaded now; it is kept until something else is needed."""
        if self._kept is None or self._kept[0] != key:
            self._kept = None  # frees its memory before something else is loaded
            self._kept = key, load()
        return cast(T, self._kept[1])


def _showing_most(job: Job) -> Options:
    """The options of an output that shows the subject's colours, for the engine of all outputs; if none does, those of
    the job."""
    outputs = [output.options(job.options) for output in job.outputs]
    return next((options for options in outputs if foreground.should_estimate(options, soft=True)), job.options)


def _notes(task: JobTask, plan: Plan) -> list[Note]:
    """The notes of all segments; for one that Redis has lost, the expected note."""
    texts = (task.notes.get(name, "") for name in plan.names)
    return [Note.from_json(text) if text else Note.expected(plan, number) for number, text in enumerate(texts)]
