"""Lists what could be a subject in one frame: the implementation of `mattebox subjects`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from stream.address import Address
from stream.errors import UsageError, disk_error
from stream.picture.frames import Frame
from stream.records.candidates import Candidate
from stream.records.engines import AUTO
from stream.records.formats import PICTURE_NAMES, still_for
from stream.settings import Settings
from stream.sinks.parts.partial import Partial
from stream.sources import is_live
from workers import choosers
from workers.choosers import candidates
from workers.choosers.base import Search
from workers.device import threads
from workers.scene.candidate_picture import draw
from workers.weights.known import Say

_QUALITY = 92


@dataclass(frozen=True)
class SubjectsRun:
    """source: a path. at_s: the time of the frame, from the start of a video; 0 for a picture. picture: where the
    candidates are drawn; None: nowhere. weights: of the chooser; None: those of the settings."""

    source: Path
    at_s: float = 0.0
    chooser: str = AUTO
    weights: str | None = None
    picture: Path | None = None
    search: Search = field(default_factory=Search)


def run_subjects(task: SubjectsRun, settings: Settings, say: Say) -> list[Candidate]:
    """All checks of the request are made before weights are downloaded. Raises MatteboxError; then there is no new
    picture."""
    name, reason = choosers.choose_listing(task.chooser, settings)
    settings = _with_weights(name, task, settings)
    if is_live(Address.of(task.source)):
        raise UsageError("a live source cannot be listed; use a file")
    partial = None if task.picture is None else _partial(task.picture)
    threads.apply(settings)
    frame, at_s = candidates.frame_at(task.source, task.at_s, settings)
    chooser = choosers.load_lister(name, settings, say)
    say(f"chooser {name} on {chooser.device}: {reason}")
    found = candidates.find(chooser, frame, at_s, task.search)
    if partial is not None:
        _write(partial, frame, found)
    return found


def _with_weights(name: str, task: SubjectsRun, settings: Settings) -> Settings:
    if task.weights is None:
        return settings
    if task.chooser == AUTO:
        raise UsageError("--weights needs --chooser: it names weights of that chooser")
    return settings.model_copy(update={name: task.weights})


def _partial(picture: Path) -> Partial:
    if still_for(picture.suffix.lower()) is None:
        raise UsageError(f"{picture}: the candidates are drawn into a picture; use one of: {PICTURE_NAMES}")
    return Partial(picture)


def _write(partial: Partial, frame: Frame, found: Sequence[Candidate]) -> None:
    kind = still_for(partial.final.suffix.lower())
    try:
        format = kind.mime.partition("/")[2] if kind else None  # Pillow's name of it
        Image.fromarray(draw(frame, found)).save(partial.path, format, quality=_QUALITY)
        partial.publish()
    except OSError as exc:
        raise disk_error(exc, partial.final) from exc
    finally:
        partial.discard()
