"""What choosers for `class:` prompts share: semantic segmentation by a network that gives classes and masks of queries.

Each picture is segmented independently into the classes of the checkpoint. What belongs to one network is in its own
file. Knows nothing about the networks' internals.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stream.picture.frames import Alpha, Frame
from stream.records.options import Options
from stream.records.subjects import Subject
from stream.settings import Settings
from workers.choosers import automatic_masks, class_regions
from workers.choosers.base import Choice, ChooserState, Lister, Question, Region, Search
from workers.device.precision import best_device, chosen_precision, label
from workers.device.segmenter import Segmenter
from workers.device.tensors import Bytes, rgb_bytes
from workers.models.segmentation import scores
from workers.weights import preprocessing, transformers_loading
from workers.weights.class_names import ClassNames
from workers.weights.known import Say, silent
from workers.weights.preprocessing import Preprocessing
from workers.weights.transformers_repos import CATALOGUES

Outputs = tuple[Tensor, Tensor]
"""Of one window: the logits of the queries' classes (Q, C + 1) and of their masks (Q, h, w)."""

_OUTPUTS = ("class_queries_logits", "masks_queries_logits")


@dataclass(frozen=True, slots=True)
class Windows:
    """A prepared frame. pictures: the windows of the scaled picture, uint8 (h, w, 3), RGB, all of one size. starts:
    where they begin along its longer side. size: (height, width) of the scaled picture."""

    pictures: Sequence[Bytes]
    starts: Sequence[int]
    size: scores.Size


class ClassSegmenter(Lister):
    """A video has no state. Subclasses have a catalogue of weights and a setting of their name, and say what
    `figures` and `joined` are. Raises UsageError and WeightsError on creation."""

    recurrent = False

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        catalogue, spec = CATALOGUES[self.name], getattr(settings, self.name)
        folder = catalogue.find(spec, settings, say)
        origin = catalogue.parse(spec)[0].repo or str(folder)
        self.classes = ClassNames.of(folder, origin)
        torch.set_num_threads(settings.cores())
        device = best_device()
        dtype = chosen_precision(device, settings)
        network = self.loaded(folder, catalogue.model)
        self._preprocessing = preprocessing.read(folder, self.figures(network), origin)
        normalisation = self._preprocessing.mean, self._preprocessing.deviation
        self._segmenter = Segmenter(network, _OUTPUTS, normalisation, device, dtype, self.name)
        self.device = label(device, dtype)

    def loaded(self, folder: Path, model: str) -> Any:
        """The network, called as `network(pixel_values=...)`. model: its class. Raises WeightsError."""
        return transformers_loading.load(folder, model)

    @abstractmethod
    def figures(self, network: Any) -> Preprocessing:
        """The figures for weights without a preprocessor_config.json."""

    @abstractmethod
    def joined(self, outputs: Sequence[Outputs], seen: Windows) -> Tensor:
        """Scores of all classes, float32 (C, h, w), of a picture from the outputs of its windows."""

    def prepare(self, frame: Frame) -> Windows:
        return windows(frame, self._preprocessing)

    def check(self, subjects: Sequence[Subject], size: tuple[int, int]) -> None:
        for subject in subjects:
            self.classes.find(_names(subject))

    @torch.inference_mode()
    def choose(self, questions: Sequence[Question], states: Sequence[ChooserState]) -> list[Choice]:
        wanted = [_wanted(question, self.classes) for question in questions]  # unknown classes before any work
        by_class = self._scores([question.seen for question in questions])
        return [_choice(found, classes) for found, classes in zip(by_class, wanted, strict=True)]

    @torch.inference_mode()
    def candidates(self, frame: Frame, search: Search) -> list[Region]:
        (found,) = self._scores([self.prepare(frame)])
        size = automatic_masks.size_for(frame.width, frame.height)
        return class_regions.regions(found, self.classes.unique(), size, search)

    def _scores(self, seen: Sequence[Windows]) -> Iterator[Tensor]:
        """Scores of all classes of each picture, (C, h, w). Windows of one size are batched over the pictures."""
        shapes = list(dict.fromkeys(item.pictures[0].shape for item in seen))
        passes = {
            shape: self._segmenter([picture for item in seen for picture in item.pictures if picture.shape == shape])
            for shape in shapes
        }
        for item in seen:
            shape = item.pictures[0].shape
            yield self.joined([next(passes[shape]) for _ in item.pictures], item)  # type: ignore[misc]


def windows(frame: Frame, figures: Preprocessing) -> Windows:
    """The frame as the network gets it: scaled, and cut into windows or padded with black."""
    width, height = figures.resized(frame.width, frame.height)
    picture = rgb_bytes(frame, width, height)
    if figures.pad:
        side = max(figures.longest, figures.shortest)
        picture = np.pad(picture, ((0, max(0, side - height)), (0, max(0, side - width)), (0, 0)))
    if not figures.split:
        return Windows([picture], [0], (height, width))
    starts, side = figures.starts(width, height), figures.shortest
    upright = height > width
    cut = [picture[start : start + side] if upright else picture[:, start : start + side] for start in starts]
    return Windows(cut, starts, (height, width))


def _choice(found: Tensor, wanted: dict[str, frozenset[int]]) -> Choice:
    regions = {name: scores.region(found, sorted(classes)) for name, classes in wanted.items()}
    confidence = {name: scores.confidence(region) for name, region in regions.items()}
    return Choice({name: _host(region) for name, region in regions.items()}, None, confidence)


def _wanted(question: Question, classes: ClassNames) -> dict[str, frozenset[int]]:
    """The classes of each subject, by its name. Raises UsageError."""
    return {subject.name: classes.find(_names(subject)) for subject in question.subjects}


def _names(subject: Subject) -> list[str]:
    return [name for prompt in subject.prompts for name in prompt.names]


def _host(region: Tensor) -> Alpha:
    array: Alpha = region.float().cpu().numpy()
    return array
