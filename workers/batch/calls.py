"""What the driver of a batch and its nodes send each other, as JSON: calls, which run tasks of a film, and their
outcomes."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from stream.records.jobs import Media
from workers.batch.films import Film

Warnings = tuple[tuple[str, str], ...]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Record(_Message):
    """A finished result. seconds: of computing, in this run, on all nodes together. device: of the engine."""

    input: str
    output: str
    engine: str
    device: str
    frames: int
    seconds: float
    width: int
    height: int
    duration_s: float
    bytes: int
    segments: int
    warnings: Warnings = ()


class Planned(_Message):
    """The film is cut into segments. plan: the text of a `Plan`. segments: the names of their tasks. source: the
    storage key of the video. notes: of segments that an earlier run has finished, by name."""

    kind: Literal["planned"] = "planned"
    plan: str
    segments: tuple[str, ...]
    media: Media
    warnings: Warnings
    source: str
    notes: dict[str, str] = {}
    seconds: float = 0.0


class Segmented(_Message):
    """A segment is in storage. note: the text of a `Note`."""

    kind: Literal["segmented"] = "segmented"
    note: str
    frames: int
    seconds: float
    device: str


class Missing(_Message):
    """The join found that segments are no longer in storage."""

    kind: Literal["missing"] = "missing"
    names: tuple[str, ...]


class Finished(_Message):
    """The result has its final name."""

    kind: Literal["finished"] = "finished"
    record: Record


class Failed(_Message):
    """The call failed. retry: it may succeed on another node, or later. node: the name of the machine."""

    kind: Literal["failed"] = "failed"
    code: str
    message: str
    retry: bool
    node: str = ""


class Stopped(_Message):
    """The call was asked to end."""

    kind: Literal["stopped"] = "stopped"


Outcome = Annotated[Planned | Segmented | Missing | Finished | Failed | Stopped, Field(discriminator="kind")]
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


def read_outcome(text: str) -> Outcome:
    """Parse the JSON text of an outcome."""
    return _OUTCOME.validate_json(text)


class Call(_Message):
    """A task of a film: "plan", the name of a segment, or "join". A film that is not cut is finished by its plan call.

    planned: None before the plan. notes: of the finished segments, by name. stale: ids of jobs with older results of
    the same name, whose records the result replaces. frames, seconds, device: of the segments, for the record.
    """

    film: Film
    task: str
    planned: Planned | None = None
    notes: dict[str, str] = {}
    stale: tuple[str, ...] = ()
    frames: int = 0
    seconds: float = 0.0
    device: str = ""
