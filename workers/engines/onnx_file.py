"""Runs a network in an ONNX file: one picture in, its matte out, frame by frame. For salient objects and matting.

What the file does not say, such as the normalisation of its input, is on the card of the network
(`workers/weights/onnx_cards.py`), which files that we write have inside. Which of the outputs is the matte, and whether
it is alpha or logits, is found by running the network once on a drawn picture when it is loaded. A matte is never
stretched to the range 0-1: in video that flickers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np

from stream.errors import EngineError, UsageError, WeightsError
from stream.picture.frames import Alpha, Frame
from stream.records.options import Options
from stream.settings import Settings
from workers.device.tensors import Tensor, rgb_small
from workers.engines import onnx_graph
from workers.engines.base import Engine, EngineState, Result
from workers.runtimes import Choice, Network, installed, label, load_safely
from workers.runtimes.choice import SIZES, Case, choose
from workers.runtimes.onnxruntime import SessionNetwork, reason
from workers.weights import embedded_card, onnx_cards
from workers.weights.input_size import Size
from workers.weights.known import Say, silent
from workers.weights.onnx_cards import Activation, Card

_OWN = Choice("onnxruntime")
_OUTSIDE = 0.5  # by how far logits leave 0-1; networks without an activation exceed it by little
_LARGEST_LOGIT = 30.0  # beyond it, the sigmoid is 0 or 1 in float32


@dataclass(frozen=True, slots=True)
class Output:
    """The output that is the matte. logits: whether a sigmoid must be applied."""

    name: str
    logits: bool


class OnnxFile(Engine):
    """Raises UsageError and WeightsError on creation."""

    name = "onnx"

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        if not settings.onnx:
            raise WeightsError("onnx: no weights are selected; set MATTEBOX_ONNX to a name or an .onnx file")
        spec = onnx_cards.parse(settings.onnx)
        path = onnx_cards.find(settings.onnx, settings, say)
        self._graph = onnx_graph.load(path, settings)
        own = None if spec.chosen or spec.file is None else embedded_card.read(self._graph.metadata, path)
        onnx_cards.announce(spec, own, say)
        self._card = own or spec.card
        self.size = network_size(self._graph.input, self._card, spec.size, path)
        values = self._run_all(drawn_picture(*self.size), path)
        self.output = find_output(values, self.size, self._card, self._graph, path)
        self.device = "cuda" if "CUDA" in self._graph.session.get_providers()[0] else "cpu"
        self._network: Network = SessionNetwork(self._graph.session)
        self.case = self._case(path, settings)
        if self.case is not None:
            choice = choose(self.case, settings, has_openvino=True)
            self.device = label(choice, _OWN)
            if choice != _OWN:
                self._network = load_safely(path, choice, _OWN, settings)
        self._graph = replace(self._graph, session=None)  # `_network` has it, or has the file in another runtime

    def prepare(self, frame: Frame) -> Tensor:
        """The network's input: one picture, normalised."""
        return self._input(rgb_small(frame, *self.size))

    def infer(self, prepared: Sequence[Tensor], states: Sequence[EngineState]) -> list[Result]:
        return [Result(self._alpha(picture)) for picture in prepared]

    def _input(self, picture: Tensor) -> Tensor:
        """The input for RGB of 0-1, float32 (3, height, width)."""
        normal = normalised(picture, self._card)
        layout = normal.transpose(1, 2, 0) if self._graph.input.channels_last else normal
        return np.ascontiguousarray(layout[None], self._graph.input.dtype)

    def _alpha(self, picture: Tensor) -> Alpha:
        """float32 (h, w), 0-1. Raises EngineError, also for NaN and Inf."""
        try:
            (values,) = self._network({self._graph.input.name: picture}, [self.output.name])
        except EngineError as exc:
            raise EngineError(f"onnx: {exc}") from exc
        matte = as_matte(values, self.size)
        if matte is None or not _is_valid(matte, self.output.logits):
            raise EngineError("onnx: the network's output is NaN or Inf")
        return sigmoid(matte) if self.output.logits else matte.clip(0.0, 1.0)

    def _case(self, path: Path, settings: Settings) -> Case | None:
        """For what the runtime is chosen; None if there is nothing to choose from."""
        if self.device != "cpu" or not installed("openvino"):
            return None
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        width, height = self.size
        return Case(f"{self.name}@{width}x{height}", digest, SIZES[0], _OWN)

    def _run_all(self, picture: Tensor, path: Path) -> dict[str, Any]:
        """All outputs for one picture, by name. Raises WeightsError."""
        try:
            values = self._graph.session.run(None, {self._graph.input.name: self._input(picture)})
        except Exception as exc:  # onnxruntime's errors have no common base class
            width, height = self.size
            raise WeightsError(f"{path} fails with a picture of {width}x{height}: {reason(exc)}") from exc
        return dict(zip([output.name for output in self._graph.session.get_outputs()], values, strict=True))


def normalised(picture: Tensor, card: Card) -> Tensor:
    """RGB of 0-1, float32 (3, h, w), normalised as the card defines."""
    if card.by_maximum:
        picture = picture / max(float(picture.max()), 1e-6)
    mean, deviation = (np.array(values, np.float32)[:, None, None] for values in (card.mean, card.deviation))
    return np.asarray((picture - mean) / deviation, np.float32)


def network_size(of: onnx_graph.Input, card: Card, requested: Size | None, path: Path) -> Size:
    """(width, height) of the network's input: that of the file where it is fixed, else the requested or the card's.

    Raises UsageError if another size than that of the file is requested.
    """
    width, height = requested or (of.width or card.side_px, of.height or card.side_px)
    if of.width not in (0, width) or of.height not in (0, height):
        fixed = f"{of.width or 'any'}x{of.height or 'any'}"
        raise UsageError(f"weights: {path} has an input of {fixed}, which cannot be changed to {width}x{height}")
    return width, height


def find_output(values: dict[str, Any], size: Size, card: Card, graph: onnx_graph.Graph, path: Path) -> Output:
    """The matte among the outputs for one picture: the one that the card names, else the first of the largest ones.

    values: by name, in the file's order. Raises WeightsError if none looks like a matte, or if it is NaN or Inf.
    """
    mattes = {name: matte for name, value in values.items() if (matte := as_matte(value, size)) is not None}
    if not mattes:
        listed = "; ".join(map(onnx_graph.described, graph.session.get_outputs()))
        raise WeightsError(
            f"{path} has no output that is a matte (floats, one channel, the shape of the picture), but has: {listed}"
        )
    named = list(values)[card.output] if isinstance(card.output, int) else card.output
    name = named if named in mattes else max(mattes, key=lambda key: mattes[key].size)
    logits = _is_logits(mattes[name], card.activation, name in graph.alphas)
    if not _is_valid(mattes[name], logits):
        raise WeightsError(f"{path}: its output {name} is NaN or Inf for a drawn picture")
    return Output(name, logits)


def as_matte(value: Any, size: Size) -> Alpha | None:
    """An output as float32 (h, w), if it has one channel and the aspect ratio of the input, `size`; else None."""
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
        return None
    matte, (width, height) = value.squeeze(), size
    if matte.ndim != 2 or abs(matte.shape[0] * width - matte.shape[1] * height) > max(size):
        return None
    return matte.astype(np.float32)


def _is_logits(matte: Alpha, activation: Activation, is_alpha: bool) -> bool:
    """Whether a sigmoid must be applied. is_alpha: the graph ends with one."""
    if activation is not Activation.AUTO:
        return activation is Activation.SIGMOID
    return not is_alpha and bool(matte.min() < -_OUTSIDE or matte.max() > 1 + _OUTSIDE)


def _is_valid(matte: Alpha, logits: bool) -> bool:
    """Whether a matte has no NaN and, unless it is logits, whose sigmoid is known, no Inf."""
    valid = ~np.isnan(matte) if logits else np.isfinite(matte)
    return bool(valid.all())


def sigmoid(logits: Tensor) -> Alpha:
    """1 / (1 + exp(-x)) in float32, for any x but NaN."""
    alpha: Alpha = 1 / (1 + np.exp(-logits.clip(-_LARGEST_LOGIT, _LARGEST_LOGIT)))
    return alpha


def drawn_picture(width: int, height: int) -> Tensor:
    """RGB of 0-1, float32 (3, height, width): a bright figure in front of a darker, blurred background."""
    rows, columns = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    figure = np.hypot((columns - 0.5) / 0.2, (rows - 0.55) / 0.35) < 1
    red, green, blue = (0.2 + 0.2 * rows, 0.3 + 0.2 * columns, 0.4 - 0.2 * rows)
    return np.where(figure, np.array([0.9, 0.7, 0.6])[:, None, None], np.stack([red, green, blue])).astype(np.float32)
