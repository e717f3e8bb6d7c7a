"""Finds the parts of faces: skin, hair, and what people wear on their heads. SegFormer with the classes of CelebAMask.

Not a chooser of its own: `workers/engines/with_face_parts.py` asks it about the heads of a matte. Knows nothing about
videos and mattes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from stream.errors import WeightsError
from stream.picture.frames import Alpha, Frame
from stream.records.options import FacePart
from stream.settings import Settings
from workers.device.precision import best_device, chosen_precision
from workers.device.segmenter import Segmenter
from workers.device.tensors import Area, Bytes, rgb_bytes
from workers.weights import preprocessing, transformers_loading
from workers.weights.class_names import ClassNames
from workers.weights.imagenet import DEVIATION, MEAN
from workers.weights.known import Say, silent
from workers.weights.preprocessing import Preprocessing
from workers.weights.transformers_repos import CATALOGUES

_LABELS = {"hair": "hair", "hat": "hat", "glasses": "eye_g", "earring": "ear_r", "necklace": "neck_l"}
"""The labels of CelebAMask-HQ, by the names of `FacePart`."""
_SKIN = (
    "skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip", "neck",
)  # fmt: skip
_SIDE_PX = 512  # of the pictures for the published checkpoint


@dataclass(frozen=True, slots=True)
class FaceMaps:
    """Probabilities, float32 (h, w), 0 to 1. parts: of any of the parts asked for. face: of skin, eyes and mouth."""

    parts: Alpha
    face: Alpha


class Faces:
    """Raises UsageError and WeightsError on creation."""

    def __init__(self, settings: Settings, say: Say = silent) -> None:
        catalogue = CATALOGUES["faces"]
        folder = catalogue.find(settings.faces, settings, say)
        origin = catalogue.parse(settings.faces)[0].repo or str(folder)
        self._classes = _classes(ClassNames.of(folder, origin))
        torch.set_num_threads(settings.cores())
        device = best_device()
        dtype = chosen_precision(device, settings)
        default = Preprocessing(MEAN, DEVIATION, width=_SIDE_PX, height=_SIDE_PX)
        self._figures = preprocessing.read(folder, default, origin)
        network = transformers_loading.load(folder, catalogue.model)
        normalisation = self._figures.mean, self._figures.deviation
        self._segmenter = Segmenter(network, ("logits",), normalisation, device, dtype, catalogue.name)

    def prepare(self, frame: Frame, area: Area) -> Bytes:
        """The picture of a head, as the network gets it. area: of the frame."""
        width, height = self._figures.resized(_SIDE_PX, _SIDE_PX)
        return rgb_bytes(frame, width, height, area)

    @torch.inference_mode()
    def find(self, heads: Sequence[Bytes], keep: Sequence[FacePart]) -> list[FaceMaps]:
        """The maps of each head, of the network's size. keep: the parts to look for. Raises EngineError."""
        chosen = sorted({index for part in keep for index in self._classes[part]})
        skin = sorted(self._classes["skin"])
        maps = (logits.softmax(0) for (logits,) in self._segmenter(heads))
        return [FaceMaps(_sum(classes, chosen), _sum(classes, skin)) for classes in maps]


def _classes(names: ClassNames) -> dict[str, frozenset[int]]:
    """The classes of each part, and of skin. Raises WeightsError for a checkpoint that lacks any of them."""
    labels = {label.removesuffix(".png"): index for index, label in names.labels.items()}
    if missing := sorted({*_LABELS.values(), *_SKIN} - set(labels)):
        raise WeightsError(f"faces: {names.origin} does not have the classes {', '.join(missing)}")
    parts = {part: frozenset({labels[_LABELS[part]]}) for part in get_args(FacePart)}
    return parts | {"skin": frozenset(labels[label] for label in _SKIN)}


def _sum(classes: Tensor, chosen: Sequence[int]) -> Alpha:
    array: Alpha = classes[list(chosen)].sum(0).cpu().numpy()
    return array
