"""Records of jobs that web and workers share: the job, its outputs, progress and results. Pydantic, exchanged as JSON.

Knows nothing about Redis or storage: `stream/records/job_store.py` stores these records, `stream/storage` the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stream import limits
from stream.errors import (
    BackgroundError,
    DiskError,
    EncodeError,
    EngineError,
    FetchError,
    MatteboxError,
    NoVideoStream,
    TooLarge,
    UnreadableMedia,
    WeightsError,
)
from stream.records.candidates import CandidateSearch
from stream.records.formats import DEFAULT, FORMATS, FormatName, OutputFormat
from stream.records.metadata import Metadata
from stream.records.options import Background, Options, View
from stream.records.selection import Selection
from stream.records.versions import SharedRecord, Since

OutputName = Annotated[str, Field(pattern=f"^{limits.OUTPUT_NAME}$")]
Title = Annotated[str, Field(max_length=limits.TITLE)]
Address = Annotated[str, Field(max_length=limits.ADDRESS)]
Side = Annotated[int, Field(ge=0, le=limits.SIDE_PX)]
"""Width or height of a picture in pixels; 0: not set."""
VideoStreamNumber = Annotated[
    int | None,
    Field(ge=0, description="number of the video stream, from 0, cover art not counted; null: the best stream"),
]
Priority = Annotated[int, Field(ge=0, le=limits.PRIORITY_MOST)]

PLAN, JOIN = "plan", "join"
"""Names of a job's first and last task; those of its segments are numbers."""
SEGMENT = "%04d"
POISON = "poison"
"""The reason of a job or an offer whose workers crashed or were lost too often: see lua/job/poison_jobs.lua."""
TOO_MANY, OVER_QUOTA = "too_many", "over_quota"
"""Why a job is refused: its owner has too many unfinished jobs, or too many bytes in storage."""
_FAULTS: tuple[type[MatteboxError], ...] = (
    UnreadableMedia, TooLarge, NoVideoStream, BackgroundError, DiskError, EngineError, WeightsError, EncodeError,
    FetchError,
)  # fmt: skip
REASONS = frozenset(fault.code for fault in _FAULTS) | {POISON, MatteboxError.code}
"""The possible values of `Job.reason` after a failure."""


class JobState(StrEnum):
    """The state of a job. The last three are final, except that a failed job can be retried."""

    QUEUED = "queued"  # no task of it is running
    RUNNING = "running"
    PAUSED = "paused"  # by its owner; running segments are finished
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.PAUSED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),  # retried; finished segments are kept
    JobState.CANCELLED: frozenset(),
}
"""The states that may follow each state. No other transition is ever stored. A paused job can end, because its running
segments are finished."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Output(_Record):
    """One result of a job. `view` and `background`, if set, override those of the job's options."""

    name: OutputName = "result"
    format: FormatName = Field(DEFAULT, description="png: a zip file of numbered pictures")
    view: View | None = None
    background: Background | None = None
    subject: Annotated[Selection, Since(2)] = ()

    @property
    def kind(self) -> OutputFormat:
        """The record of its format."""
        return FORMATS[self.format]

    def options(self, of_job: Options) -> Options:
        """The job's options with the overrides of this output."""
        own = {"view": self.view, "background": self.background}
        return of_job.model_copy(update={name: value for name, value in own.items() if value is not None})


class Media(_Record):
    """Properties of the video or picture, read when the job is planned."""

    duration_s: float = Field(0.0, ge=0, description="of the selected part")
    fps: float = Field(0.0, ge=0, description="mean frame rate")
    width: int = Field(0, ge=0, description="of the output, in pixels")
    height: int = Field(0, ge=0)
    sound: bool = False
    video_streams: int = Field(
        0, ge=0, description="number of video streams in the file, of which one is used; 0: unknown, or a picture"
    )
    still: bool = Field(False, description="a picture: it has no duration and no frame rate")
    bytes: int = Field(0, ge=0)


class Progress(_Record):
    """Progress of a job, over all workers."""

    frames: int = Field(0, ge=0, description="frames of the result that are done")
    of_frames: int = Field(0, ge=0, description="total number of frames, estimated; 0: unknown")
    fps: float = Field(0.0, ge=0, description="frames per second, recently")
    left_s: float = Field(0.0, ge=0, description="seconds left at that rate; 0: unknown")
    segments: int = Field(0, ge=0)
    segments_done: int = Field(0, ge=0)


class StoredResult(_Record):
    """A finished output in storage."""

    key: str
    bytes: int = Field(ge=0)
    mime: str


class Job(SharedRecord):
    """One video to process, from its submission until it expires.

    `id` is a random UUID. `source` is the storage key of the video, or empty until `url` has been downloaded. `title`
    is the user's name for the file: only displayed, never used as a file name. A failed job has one of `REASONS`: the
    code of the error, "poison" if its workers crashed or were lost too often, "failed" for everything else; `detail`
    explains the reason to people.
    Times are in seconds since 1970, by the clock of Redis.
    """

    stored_only = frozenset(
        {"fence", "told", "of_frames", "counted_s", "kept_s", "mark_s", "mark_frames", "mark_fps"}
        | {"sum_frames", "sum_segments", "sum_done", "sums_s"}
    )

    id: str = Field(min_length=1, max_length=limits.ID)
    owner: str = ""
    title: Title = ""
    source: str = ""
    url: Address = ""
    options: Options = Options()
    outputs: tuple[Output, ...] = Field((Output(),), min_length=1, max_length=limits.OUTPUTS)
    start_s: float = Field(0.0, ge=0, description="where to start, in seconds of the source")
    end_s: float | None = Field(None, description="where to stop; null: at the end")
    stream: VideoStreamNumber = None
    width: Side = Field(0, description="of the outputs; 0: from the height and the aspect ratio, or as the source")
    height: Side = 0
    metadata: Metadata = Field(
        Metadata.NO_LOCATION, description="which tags, chapters, attachments and the like the outputs keep"
    )
    priority: Priority = Field(limits.PRIORITY, description="among its owner's jobs; higher runs first")
    webhook: Address = Field("", description="URL that is notified when the job ends")
    listed: bool = Field(True, description="whether it is in the owner's list; previews are not")
    search: Annotated[CandidateSearch | None, Since(2)] = Field(
        None, description="lists what could be a subject in the first frame, instead of matting it"
    )
    state: JobState = JobState.QUEUED
    reason: str = ""
    detail: str = ""
    warnings: tuple[tuple[str, str], ...] = Field((), description="(code, sentence) pairs")
    media: Media | None = None
    progress: Progress = Progress()
    results: dict[str, StoredResult] = Field(default_factory=dict, description="by name of the output, once done")
    created_s: float = 0.0
    updated_s: float = 0.0
    started_s: float = 0.0
    ended_s: float = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [output.name for output in self.outputs]
        if len(set(names)) != len(names):
            raise ValueError("two outputs have the same name")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s {self.end_s:g} is not after start_s {self.start_s:g}")
        return self


@dataclass(frozen=True)
class JobSummary:
    """What housekeeping needs of a job."""

    id: str
    state: JobState
    source: str
    ended_s: float


@dataclass(frozen=True)
class JobTotals:
    """Of all jobs. states: the number of jobs in each state that any is in. fps: frames per second."""

    states: Mapping[JobState, int] = field(default_factory=dict)
    fps: float = 0.0


@dataclass(frozen=True)
class TaskCounts:
    """Numbers of tasks of all jobs. waiting: a worker could take them now; those of paused jobs are not counted.
    running: a worker has them."""

    waiting: int
    running: int


@dataclass(frozen=True)
class Quota:
    """What one owner's jobs may use. unfinished: number of jobs that have not ended. bytes: in storage, for results and
    for videos fetched from addresses; the results of an unfinished job count as much as its video."""

    unfinished: int
    bytes: int


@dataclass(frozen=True)
class JobPage:
    """A part of a list of jobs, newest first. next: the cursor of the next part, "" at the end."""

    jobs: list[Job]
    next: str


def segment_name(number: int) -> str:
    """The task of a job's segment. number: from 0."""
    return SEGMENT % number
