"""The chooser `mask`: the regions are those that the user drew or made with another program, as a picture or a video.

A subject's latest mask that applies is its region, resized: a picture from its time on, a video from its first frame at
that time on, and its last frame after its end. In a mask with transparency the opaque part is the subject, in a grey
one what is white, in one with colours all that is not black. Finds nothing itself, and never fails to find a subject.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from stream.errors import InputError, MatteboxError, UnreadableMedia, UsageError
from stream.picture.frames import Alpha, Frame
from stream.pump import Source
from stream.records.metadata import Metadata
from stream.records.options import Options
from stream.records.subjects import Prompt, Subject
from stream.settings import Settings
from stream.sources import open_source
from stream.sources.base import SourceOptions
from stream.storage.local_copies import local_path
from workers.choosers.base import Choice, Chooser, Question
from workers.choosers.readable import Readable
from workers.weights.known import Say, silent

_SIDE_PX = 640  # regions are reduced to this: between their pixels the engine draws the edge
_ASPECT = 0.03  # relative difference of the aspect ratios that is tolerated: sides are rounded
_BLACK, _WHITE = 16, 235  # of luma, limited range
_NOT_BLACK = 24  # levels of luma over black, or of chroma from neutral: less is noise of a codec
_COLOURED = 12  # levels of chroma from neutral on average, of all that is not black, in a mask with colours
_ROUNDING_S = 1e-4


class Mask:
    """An opened mask. A picture is one frame. Times only go forward, else it is opened again.

    Raises InputError and UsageError if it cannot be read.
    """

    def __init__(self, text: str, settings: Settings) -> None:
        self._text, self._settings = text, settings
        self._source = _opened(text, settings)
        self.size = _pixels(self._source)
        self._frames = _frames(self._source)
        self._now, self._next = self._first(), next(self._frames, None)

    def region(self, time_s: float) -> Alpha:
        """At a time of the mask, 0 for its first frame."""
        if time_s < self._now[0] - _ROUNDING_S:
            self._source.close()
            self._source = _opened(self._text, self._settings)
            self._frames = _frames(self._source)
            self._now, self._next = self._first(), next(self._frames, None)
        while self._next is not None and self._next[0] <= time_s + _ROUNDING_S:
            self._now, self._next = self._next, next(self._frames, None)
        return self._now[1]

    def _first(self) -> tuple[float, Alpha]:
        first = next(self._frames, None)
        if first is None:
            raise UnreadableMedia(f"mask: {self._text}: not a single frame could be decoded")
        return 0.0, first[1]


@dataclass(frozen=True)
class Memory:
    """The opened masks of one video, by their texts in the prompts."""

    masks: Mapping[str, Mask] = field(default_factory=dict)


class Given(Chooser):
    """Checks the masks of `options` on creation. Raises InputError and UsageError."""

    name = "mask"
    device = "cpu"
    recurrent = False

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        self._settings = settings
        self._sizes = Readable(lambda text: _size(text, settings))
        for subject in options.subjects:
            for text in subject.masks:
                self._sizes(text)

    def check(self, subjects: Sequence[Subject], size: tuple[int, int]) -> None:
        for subject in subjects:
            for text in subject.masks:
                _check_aspect(text, self._sizes(text), size)

    def prepare(self, frame: Frame) -> None:
        return None

    def choose(self, questions: Sequence[Question], states: Sequence[Memory | None]) -> list[Choice]:
        return [self._answer(question, state or Memory()) for question, state in zip(questions, states, strict=True)]

    def _answer(self, question: Question, memory: Memory) -> Choice:
        used = {text: memory.masks.get(text) for subject in question.subjects for text in subject.masks}
        masks = {text: mask or Mask(text, self._settings) for text, mask in used.items()}
        for text, mask in masks.items():
            _check_aspect(text, mask.size, (question.width, question.height))
        regions = {subject.name: _region(subject, masks, question.time_s) for subject in question.subjects}
        return Choice(regions, Memory(masks))


def _region(subject: Subject, masks: Mapping[str, Mask], time_s: float) -> Alpha:
    applying = [prompt for prompt in subject.prompts if prompt.at_s <= time_s + _ROUNDING_S]
    if not applying:
        return np.zeros((1, 1), np.float32)
    latest: Prompt = max(reversed(applying), key=lambda prompt: prompt.at_s)  # of equal times the one added last
    return masks[latest.text].region(time_s - latest.at_s)


def first_region(text: str, settings: Settings) -> Alpha:
    """The region that the first frame of a mask shows. Raises InputError and UsageError."""
    with closing(_opened(text, settings)) as source:
        _, region = next(_frames(source), (0.0, None))
    if region is None:
        raise UnreadableMedia(f"mask: {text}: not a single frame could be decoded")
    return region


def _size(text: str, settings: Settings) -> tuple[int, int]:
    """Width and height of a mask. Raises InputError and UsageError."""
    with closing(_opened(text, settings)) as source:
        return _pixels(source)


def _pixels(source: Source) -> tuple[int, int]:
    return source.info.still or (source.info.width, source.info.height)


def _opened(text: str, settings: Settings) -> Source:
    """Raises InputError and UsageError, which name the mask."""
    try:
        return open_source(local_path(text, settings), SourceOptions(metadata=Metadata.DROP), settings)
    except FileNotFoundError:
        raise UsageError(f"mask: {text} does not exist") from None
    except (InputError, UsageError) as exc:
        raise type(exc)(f"mask: {exc}") from None


def _frames(source: Source) -> Iterator[tuple[float, Alpha]]:
    """The time and the region of each frame. What is damaged is left out; the frame before it stays."""
    try:
        for item in source:
            if isinstance(item, Frame):
                yield item.time_s, read_region(item)
    except MatteboxError:
        return


def _check_aspect(text: str, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    if abs(size[0] * wanted[1] / (size[1] * wanted[0]) - 1) > _ASPECT:
        (width, height), (full_width, full_height) = size, wanted
        raise UsageError(
            f"mask: {Path(text).name} is {width}x{height}, which is another shape than the picture,"
            f" {full_width}x{full_height}; make it of the same aspect ratio"
        )


def read_region(frame: Frame) -> Alpha:
    """The region that a picture shows, float32, 0-1, at most 640 pixels wide and high."""
    if frame.alpha is not None and frame.alpha.min() < 255:
        return _reduced(frame.alpha.astype(np.float32) / np.float32(255))
    luma, *chroma = frame.planes()
    distance = np.max([np.abs(plane.astype(np.int16) - 128) for plane in chroma], axis=0).astype(np.float32)
    distance = cv2.resize(distance, luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
    not_black = (luma >= _BLACK + _NOT_BLACK) | (distance >= _NOT_BLACK)
    if not_black.any() and distance[not_black].mean() > _COLOURED:
        return _reduced(not_black.astype(np.float32))
    scaled = (luma.astype(np.float32) - _BLACK) / np.float32(_WHITE - _BLACK)
    return _reduced(np.clip(scaled, 0, 1).astype(np.float32))


def _reduced(region: Alpha) -> Alpha:
    scale = _SIDE_PX / max(region.shape)
    if scale >= 1:
        return np.ascontiguousarray(region, np.float32)
    size = max(1, round(region.shape[1] * scale)), max(1, round(region.shape[0] * scale))
    return np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.float32)
