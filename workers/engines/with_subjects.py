"""Adds a chooser to an engine: mattes of the subjects that a user chose, with the engine's edges.

The chooser finds the regions of the subjects, the engine computes alpha, and `workers/edges/combine.py` combines them.
A subject that is not found any more fades out within half a second, and is reported. Knows nothing about how a chooser
or an engine works.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from stream.errors import NotLoaded
from stream.picture.frames import Alpha, Frame, Plane
from stream.records.choosers import CHOOSERS
from stream.records.subjects import Subject
from workers.choosers.base import Choice, Chooser, ChooserState, Question
from workers.edges import combine
from workers.engines.base import Engine, EngineState, Prepared, Result
from workers.steady.tuning import Tuning

_SURE = 0.5  # least confidence that a subject was found
FADE_S = 0.5  # of video time, in which a subject that is not found any more disappears
_SEEN = 0.5  # difference of alpha above which the engine did not see the subject, so that its colours are not known


@dataclass(frozen=True, slots=True)
class Input:
    """A prepared frame. question: for the chooser; None for a video without subjects."""

    frame: Frame
    prepared: Prepared
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The last region in which a subject was found, and the time of its frame."""

    region: Alpha
    time_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of one video. found: by the subjects' names."""

    engine: EngineState = None
    chooser: ChooserState = None
    found: Mapping[str, Found] = field(default_factory=dict)


class WithSubjects:
    """Wraps `engine` and keeps its name. A video without subjects gets the engine's results unchanged."""

    def __init__(self, engine: Engine, chooser: Chooser) -> None:
        self.name, self.batch, self.recurrent = engine.name, engine.batch, engine.recurrent or chooser.recurrent
        self.warmup_frames, self.device = engine.warmup_frames, engine.device
        self.measure, self.refined, self.chooser = engine.measure, engine.refined, chooser.name
        self._engine, self._chooser = engine, chooser

    def recall(self, measured: str) -> Memory:
        return Memory(self._engine.recall(measured))

    def prepare(self, frame: Frame) -> Input:
        return Input(frame, self._engine.prepare(frame))

    def prompted(self, prepared: Input, frame: Frame, subjects: Sequence[Subject]) -> Input:
        """Raises NotLoaded for prompts that the chooser does not understand: live, they are for another one, which is
        being loaded. Raises UsageError and InputError for those that it cannot answer, such as an unknown class."""
        _check_understood(self.chooser, subjects)
        size = frame.width, frame.height
        self._chooser.check(subjects, size)
        return replace(prepared, question=Question(self._chooser.prepare(frame), subjects, *size, frame.time_s))

    def steadied(self, prepared: Input, frame: Frame, tuning: Tuning) -> Input:
        """With subjects alpha is smoothed after it is combined, by the caller."""
        if prepared.question is not None:
            return prepared
        return replace(prepared, prepared=self._engine.steadied(prepared.prepared, frame, tuning))

    def infer(self, prepared: Sequence[Input], states: Sequence[Memory | None]) -> list[Result]:
        memories = [state or Memory() for state in states]
        choices = self._choices(prepared, memories)
        results = self._engine.infer([item.prepared for item in prepared], [memory.engine for memory in memories])
        return [
            _result(item, result, choices.get(index), memory)
            for index, (item, result, memory) in enumerate(zip(prepared, results, memories, strict=True))
        ]

    def _choices(self, prepared: Sequence[Input], memories: Sequence[Memory]) -> dict[int, Choice]:
        """The chooser's answers, by the index of the frame: one call for all videos with subjects."""
        asked = {index: item.question for index, item in enumerate(prepared) if item.question is not None}
        if not asked:
            return {}
        answers = self._chooser.choose(list(asked.values()), [memories[index].chooser for index in asked])
        return dict(zip(asked, answers, strict=True))


def _check_understood(chooser: str, subjects: Sequence[Subject]) -> None:
    record = CHOOSERS.get(chooser)
    kinds = {kind for subject in subjects for kind in subject.kinds}
    if record is not None and not kinds <= set(record.prompts):
        raise NotLoaded(f"{chooser} does not understand prompts of the kind {min(kinds - set(record.prompts))}")


def _result(item: Input, result: Result, choice: Choice | None, memory: Memory) -> Result:
    if item.question is None or choice is None:
        return replace(result, state=Memory(result.state))
    subjects, now_s = item.question.subjects, item.question.time_s
    unsure = tuple(subject.name for subject in subjects if _is_unsure(subject, choice, now_s))
    names = {subject.name for subject in subjects}
    found = {name: old for name, old in memory.found.items() if name in names}
    found |= {name: Found(choice.regions[name], now_s) for name in names.difference(unsure)}
    alpha = _combined(item, result.alpha, found)
    colours = None if result.foreground is None else own_colours(item.frame, result.foreground, result.alpha, alpha)
    return replace(
        result,
        alpha=alpha,
        foreground=colours,
        state=Memory(result.state, choice.state, found),
        unsure=unsure,
        regions=_regions(subjects, found, now_s),
    )


def _regions(subjects: Sequence[Subject], found: Mapping[str, Found], now_s: float) -> dict[str, Alpha]:
    """`Result.regions`. The arrays are those of `found`, unless they fade."""
    kept = {each.name: found[each.name] for each in subjects if each.keep and each.name in found}
    strengths = {name: _strength(now_s - old.time_s) for name, old in kept.items()}
    return {
        name: old.region if strengths[name] == 1 else old.region * np.float32(strengths[name])
        for name, old in kept.items()
        if strengths[name]
    }


def _is_unsure(subject: Subject, choice: Choice, now_s: float) -> bool:
    """Whether a subject was not found, although one of its prompts applies."""
    if choice.confidence.get(subject.name, 1.0) >= _SURE:
        return False
    return min(prompt.at_s for prompt in subject.prompts) <= now_s or bool(choice.regions[subject.name].any())


def _combined(item: Input, alpha: Alpha, found: Mapping[str, Found]) -> Alpha:
    """The engine's alpha combined with the regions of all subjects. Those that were found earlier fade out, those to
    be removed are removed in full until then."""
    assert item.question is not None
    subjects, now_s = item.question.subjects, item.question.time_s
    luma = item.frame.pixels[: item.frame.height]
    strengths = {name: _strength(now_s - old.time_s) for name, old in found.items()}
    removed = [found[each.name].region for each in subjects if not each.keep and strengths.get(each.name)]
    if not any(each.keep for each in subjects):
        return combine.without(alpha, combine.union(removed), luma) if removed else alpha
    groups: dict[float, list[Alpha]] = {}
    for each in subjects:
        if each.keep and (strength := strengths.get(each.name, 0.0)):
            groups.setdefault(strength, []).append(found[each.name].region)
    total = np.zeros_like(alpha)
    for strength, regions in groups.items():
        part = combine.within(alpha, combine.union(regions), luma, combine.union(removed) if removed else None)
        total = part * np.float32(strength) if not total.any() else combine.union([part * np.float32(strength), total])
    return total


def _strength(age_s: float) -> float:
    """Of a region that was found `age_s` ago: 1 now, 0 half a second later. 0 for a time before it was found, too."""
    return max(0.0, 1.0 - age_s / FADE_S) if age_s >= 0.0 else 0.0


def own_colours(frame: Frame, foreground: Plane, alone: Alpha, combined: Alpha) -> Plane:
    """The engine's foreground, and the picture's own colours where the engine did not see the subject.

    alone: the engine's alpha. combined: with the regions, of any size.
    """
    height, width = combined.shape
    alone = alone if alone.shape == combined.shape else np.asarray(cv2.resize(alone, (width, height)), np.float32)
    unseen = (combined - alone > _SEEN).astype(np.uint8)
    if not unseen.any():
        return foreground
    out = foreground.copy()
    colours = Frame(out, frame.pts, frame.time_base)
    for target, own in zip(colours.planes(), frame.planes(), strict=True):
        cv2.copyTo(own, cv2.resize(unseen, own.shape[::-1], interpolation=cv2.INTER_NEAREST), target)
    return out
