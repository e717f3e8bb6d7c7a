"""`Note`: what a segment task reports to the join task, through Redis. Also a job's warnings, made from its notes."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from stream.errors import UnreadableMedia
from stream.pump import Warnings
from stream.settings import Settings
from stream.sources.decode_health import damaged_frames
from workers.choosers import unsure
from workers.choosers.unsure import Unsure
from workers.files.plan import Plan


@dataclass(frozen=True)
class Note:
    """What the join needs to know of a segment. first: time of its first frame, in ticks of the plan's clock. bad:
    number of frames that could not be decoded, of total. warnings: (code, sentence) pairs. unsure: when subjects were
    not found."""

    first: int
    bad: int
    total: int
    warnings: Warnings
    unsure: tuple[Unsure, ...] = ()

    def to_json(self) -> str:
        """Leaves out what older versions do not know where it has its default: they refuse notes with other fields."""
        fields = dataclasses.asdict(self)
        return json.dumps(fields if self.unsure else {name: fields[name] for name in fields if name != "unsure"})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Ignores what newer versions add."""
        known = {field.name for field in dataclasses.fields(cls)}
        fields = {name: value for name, value in json.loads(text).items() if name in known}
        warnings = [(code, sentence) for code, sentence in fields["warnings"]]
        unsure = tuple(Unsure(*each) for each in fields.get("unsure", ()))
        return cls(**fields | {"warnings": warnings, "unsure": unsure})

    @classmethod
    def expected(cls, plan: Plan, number: int) -> Self:
        """Replacement for a segment's note that Redis has lost: no damage, and a start as planned."""
        return cls(plan.first if number == 0 else plan.spans[number][0] or 0, 0, 0, [])


def judge(notes: Sequence[Note], settings: Settings) -> Warnings:
    """The warnings of the whole job. Raises UnreadableMedia if too many frames of its video are damaged."""
    bad, total = sum(note.bad for note in notes), sum(note.total for note in notes)
    if bad > settings.max_decode_errors * total:
        raise UnreadableMedia(f"the video is damaged: {bad} of {total} frames could not be decoded")
    warnings = list(dict.fromkeys(warning for note in notes for warning in note.warnings))
    warnings += unsure.warnings([each for note in notes for each in note.unsure])
    if bad:
        warnings.append(damaged_frames(bad, total))
    return warnings
