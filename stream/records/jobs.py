"""What web and workers tell each other about uploaded videos: jobs, their outputs and how far they are. Pydantic, JSON.

Knows nothing about Redis or where files lie: `stream/records/job_store.py` keeps these records, `stream/storage` the
files.
"""

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
from stream.records import keys
from stream.records.formats import DEFAULT, FORMATS, FormatName, OutputFormat
from stream.records.options import Background, Options, View

OutputName = Annotated[str, Field(pattern=f"^{limits.OUTPUT_NAME}$")]
Title = Annotated[str, Field(max_length=limits.TITLE)]
Address = Annotated[str, Field(max_length=limits.ADDRESS)]
Side = Annotated[int, Field(ge=0, le=limits.SIDE_PX)]
"""Of a picture, in pixels; 0: not given."""
Priority = Annotated[int, Field(ge=0, le=limits.PRIORITY_MOST)]

_FAULTS: tuple[type[MatteboxError], ...] = (
    UnreadableMedia, TooLarge, NoVideoStream, BackgroundError, DiskError, EngineError, WeightsError, EncodeError,
    FetchError,
)  # fmt: skip
REASONS = frozenset(fault.code for fault in _FAULTS) | {keys.POISON, MatteboxError.code}
"""How a job may have failed, in a word."""


class JobState(StrEnum):
    """Where a job stands. The last three are final, but for a failed one that is tried again."""

    QUEUED = "queued"  # nothing of it is being worked on
    RUNNING = "running"
    PAUSED = "paused"  # its owner wishes so; segments under way are finished
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.PAUSED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}),  # under way
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),  # tried again; finished segments stay finished
    JobState.CANCELLED: frozenset(),
}
"""From each state to those that may follow it. No other move is ever stored."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Output(_Record):
    """One result of a job. `view` and `background` stand in for those of the job's options where they are set."""

    name: OutputName = "result"
    format: FormatName = Field(DEFAULT, description="png: a zip of numbered pictures")
    view: View | None = None
    background: Background | None = None

    @property
    def kind(self) -> OutputFormat:
        """What is known of its format."""
        return FORMATS[self.format]

    def options(self, of_job: Options) -> Options:
        own = {"view": self.view, "background": self.background}
        return of_job.model_copy(update={name: value for name, value in own.items() if value is not None})


class Media(_Record):
    """What a look into the file tells before anything is decoded."""

    duration_s: float = Field(0.0, ge=0, description="of the part that is wanted")
    fps: float = Field(0.0, ge=0, description="mean rate")
    width: int = Field(0, ge=0, description="of what comes out, in pixels")
    height: int = Field(0, ge=0)
    sound: bool = False
    bytes: int = Field(0, ge=0)


class Progress(_Record):
    """How far a job is, all workers together."""

    frames: int = Field(0, ge=0, description="of the result that are done")
    of_frames: int = Field(0, ge=0, description="that there will be, as far as can be known; 0: not yet")
    fps: float = Field(0.0, ge=0, description="done a second, of late")
    left_s: float = Field(0.0, ge=0, description="seconds to go at that rate; 0: unknown")
    segments: int = Field(0, ge=0)
    segments_done: int = Field(0, ge=0)


class StoredResult(_Record):
    """A finished output as it lies in storage."""

    key: str
    bytes: int = Field(ge=0)
    mime: str


class Job(_Record):
    """One uploaded video and what is to become of it, from its submission until it expires.

    `id` is a random UUID. `source` is the storage key of the video, or empty while `url` has still to be fetched.
    `title` is the user's own name for the file: for display alone, it never touches a disk. A job that has failed has
    one of `REASONS`: the code of the error, "poison" where it killed its workers, "failed" for everything else;
    `detail` says it for a person. Times are in seconds since 1970, by the clock of the store.
    """

    id: str = Field(min_length=1, max_length=limits.ID)
    owner: str = ""
    title: Title = ""
    source: str = ""
    url: Address = ""
    options: Options = Options()
    outputs: tuple[Output, ...] = Field((Output(),), min_length=1, max_length=limits.OUTPUTS)
    start_s: float = Field(0.0, ge=0, description="where to begin, in seconds of the source")
    end_s: float | None = Field(None, description="where to stop")
    width: Side = Field(0, description="of the outputs; 0: follows from the other side, or the source")
    height: Side = 0
    priority: Priority = Field(limits.PRIORITY, description="among its owner's jobs; higher comes first")
    webhook: Address = Field("", description="address told when the job ends")
    state: JobState = JobState.QUEUED
    reason: str = ""
    detail: str = ""
    warnings: tuple[tuple[str, str], ...] = Field((), description="(code, sentence) pairs")
    media: Media | None = None
    progress: Progress = Progress()
    results: dict[str, StoredResult] = Field(default_factory=dict, description="by the output's name, once done")
    created_s: float = 0.0
    updated_s: float = 0.0
    started_s: float = 0.0
    ended_s: float = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [output.name for output in self.outputs]
        if len(set(names)) != len(names):
            raise ValueError("two outputs have one name")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s {self.end_s:g} is not after start_s {self.start_s:g}")
        return self
