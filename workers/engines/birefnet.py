"""BiRefNet: the best matte of single images, for any subject, in half precision. Needs a GPU; a CPU takes seconds.

Each frame is resized to the network's input size and matted independently; with `roi` on, only the region where the
subject was, at the same scale. On a GPU live mattes are smoothed over time before they are downloaded. Knows nothing
about the network's internals.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from stream.errors import WeightsError
from stream.log import OncePerSecond
from stream.picture.frames import Alpha, Frame, Plane
from stream.records.options import Options, Temporal
from stream.settings import Settings
from workers.device.birefnet_runner import Runner
from workers.device.precision import best_device, chosen_precision, label
from workers.device.tensors import Bytes, rgb_bytes
from workers.edges import foreground, foreground_torch
from workers.engines import birefnet_roi
from workers.engines.base import Engine, Result
from workers.models.birefnet.network import BiRefNet
from workers.steady import motion
from workers.steady.smooth_torch import DeviceSmoother, DeviceSmoothState, SmoothInput
from workers.steady.tuning import Tuning, choose
from workers.weights import birefnet_hub
from workers.weights.known import Say, silent

_STRIDE = 32
_MAX_SIDE_PX = 2304  # the largest with which the variants of native aspect were trained
_NO_ALPHA = torch.zeros(0, 0)
_MAX_OVERFLOWS = 3  # frames of a video with NaN or Inf in half precision before it gets full precision permanently


@dataclass(frozen=True, slots=True)
class Input:
    """A prepared frame, with what its video's options require.

    picture: uint8 (h, w, 3), RGB, of the network's input size. pixels: the frame's, for foreground estimation.
    follow: process only the region where the subject was. smoothing: if its alpha is to be smoothed on the device.
    """

    picture: Bytes
    pixels: Plane | None
    follow: bool
    smoothing: SmoothInput | None = None

    @property
    def size(self) -> birefnet_roi.Size:
        return self.picture.shape[0], self.picture.shape[1]


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of one video. overflows: its frames with NaN or Inf in half precision. track: of its subject.
    smoothing: the state of smoothing on the device, while that is in use."""

    overflows: int = 0
    track: birefnet_roi.Track | None = None
    smoothing: DeviceSmoothState | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One frame of a batch in progress. alpha: float32, on the device; of the box, later of the whole picture."""

    input: Input
    memory: Memory
    box: birefnet_roi.Box
    alpha: Tensor


class Birefnet(Engine):
    """A video's state is its `Memory`. Raises UsageError and WeightsError on creation.

    smoother: smooths live mattes on the device; None where the CPU does it.
    """

    name = "birefnet"

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        self._checkpoint, _ = birefnet_hub.parse(settings.birefnet)
        path = birefnet_hub.find(settings.birefnet, settings, say)
        self._device = best_device()
        torch.set_num_threads(settings.cores())
        dtype = chosen_precision(self._device, settings)
        self._runner = Runner(lambda: load_network(path), self._device, dtype)
        self._warn = OncePerSecond(logging.getLogger(__name__))
        self.smoother = DeviceSmoother() if self._device.type == "cuda" else None
        if not self._checkpoint.native:
            self._runner.warm([(self._checkpoint.width, self._checkpoint.height)])
            self._warm_smoother()
        self.batch = self._runner.batch
        self.recurrent = self._follow = options.roi
        self._wants_foreground = foreground.should_estimate(options, soft=True)
        self.device = label(self._device, dtype)

    def prepare(self, frame: Frame) -> Input:
        picture = rgb_bytes(frame, *network_size(self._checkpoint, frame.width, frame.height))
        return Input(picture, frame.pixels if self._wants_foreground and not frame.gray else None, self._follow)

    def steadied(self, prepared: Input, frame: Frame, tuning: Tuning) -> Input:
        if self.smoother is None or tuning.look_ahead:
            return prepared
        colour = motion.thumbnail(frame).colour.astype(np.uint8).transpose(2, 0, 1)
        return replace(prepared, smoothing=SmoothInput(colour, frame.time_s, tuning))

    def infer(self, prepared: Sequence[Input], states: Sequence[Memory | None]) -> list[Result]:
        items = self._matted([_item(one, state or Memory()) for one, state in zip(prepared, states, strict=True)])
        lost = [i for i, item in enumerate(items) if _is_lost(item)]
        again = self._matted([replace(items[i], box=birefnet_roi.whole(items[i].input.size)) for i in lost])
        for i, item in zip(lost, again, strict=True):
            items[i] = item
        items = [_uncropped(item) for item in items]
        smoothed = self._smoothed(items)
        return [self._result(item, smoothed.get(i)) for i, item in enumerate(items)]

    def _warm_smoother(self) -> None:
        """Capture the smoother's graphs, so that no video waits for it; without memory for them, the CPU smooths."""
        tuning = choose(Temporal.LIVE, 1.0, self.name, live=True)
        if self.smoother is None or tuning is None:
            return
        size, batches = (self._checkpoint.height, self._checkpoint.width), (4, 2, 1)
        try:
            self.smoother.warm(tuning, size, self._device, [b for b in batches if b <= self._runner.batch])
        except RuntimeError as exc:
            self._warn.warning("birefnet: mattes are smoothed on the CPU: %s", exc)
            self.smoother = None

    def _matted(self, items: Sequence[Item]) -> list[Item]:
        """Each item with the alpha of its box. Boxes of one size are batched."""
        groups: dict[tuple[birefnet_roi.Size, bool], list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            groups[(item.box.shape, item.memory.overflows >= _MAX_OVERFLOWS)].append(index)
        matted: dict[int, Item] = {}
        for (_, exact), members in groups.items():
            pictures = np.stack([items[i].input.picture[items[i].box.slices] for i in members])
            alphas = self._alphas(pictures, exact)
            finite = alphas.isfinite().flatten(1).all(1).tolist()
            checked = (self._checked(items[i], *one) for i, *one in zip(members, pictures, alphas, finite, strict=True))
            matted |= zip(members, checked, strict=True)
        return [matted[index] for index in range(len(items))]

    def _alphas(self, pictures: Bytes, exact: bool) -> Tensor:
        """float32 (B, h, w) of pictures (B, h, w, 3). NaN where half precision overflowed. Raises EngineError."""
        return self._runner(torch.from_numpy(pictures), exact)

    def _checked(self, item: Item, picture: Bytes, alpha: Tensor, finite: bool) -> Item:
        """The item with its alpha; if it was NaN or Inf, it is recomputed in full precision and counted."""
        if finite:
            return replace(item, alpha=alpha)
        self._warn.warning("birefnet: half precision overflowed; computing the frame in full precision")
        (alpha,) = self._alphas(picture[None], exact=True)
        alpha = alpha.nan_to_num(0.0).clamp(0.0, 1.0)
        return replace(item, alpha=alpha, memory=replace(item.memory, overflows=item.memory.overflows + 1))

    def _smoothed(self, items: Sequence[Item]) -> dict[int, tuple[DeviceSmoothState, Tensor]]:
        """The smoothing state and the smoothed alpha of each item to be smoothed, by index in the batch."""
        inputs = {i: item.input.smoothing for i, item in enumerate(items) if item.input.smoothing is not None}
        if self.smoother is None or not inputs:
            return {}
        states, alphas = [items[i].memory.smoothing for i in inputs], [items[i].alpha for i in inputs]
        try:
            done = self.smoother(states, list(inputs.values()), alphas)
        except RuntimeError as exc:  # the CPU can do it; if the network itself does not fit, the runner raises
            self._warn.warning("birefnet: smoothing on the device failed, now done on the CPU: %s", exc)
            self.smoother = None
            return {}
        return dict(zip(inputs, done, strict=True))

    def _result(self, item: Item, smoothed: tuple[DeviceSmoothState, Tensor] | None) -> Result:
        state, output = (None, item.alpha) if smoothed is None else smoothed
        alpha, track = host(output), item.memory.track
        if item.input.follow:
            track = birefnet_roi.follow(track, item.box, alpha if smoothed is None else host(item.alpha))
        memory = replace(item.memory, track=track, smoothing=state)
        return Result(alpha, memory, self._foreground(item), smoothed is not None)

    def _foreground(self, item: Item) -> Plane | None:
        pixels = item.input.pixels
        if pixels is None:
            return None
        on_device = self._device.type != "cpu"
        return (
            foreground_torch.estimate(pixels, item.alpha)
            if on_device
            else foreground.estimate(pixels, host(item.alpha))
        )


def _item(prepared: Input, memory: Memory) -> Item:
    size = prepared.size
    box = birefnet_roi.next_box(memory.track, size) if prepared.follow else birefnet_roi.whole(size)
    return Item(prepared, memory, box, _NO_ALPHA)


def _is_lost(item: Item) -> bool:
    return item.input.follow and birefnet_roi.lost(item.box, host(item.alpha), item.input.size)


def _uncropped(item: Item) -> Item:
    """The item with the alpha of the whole picture, 0 outside the box."""
    if item.box == birefnet_roi.whole(item.input.size):
        return item
    alpha = torch.zeros(item.input.size, device=item.alpha.device)
    alpha[item.box.slices] = item.alpha
    return replace(item, alpha=alpha)


def host(alpha: Tensor) -> Alpha:
    """The alpha in host memory, through pinned memory, to which a GPU copies several times as fast."""
    if alpha.is_cuda:
        alpha = torch.empty(alpha.shape, pin_memory=True).copy_(alpha)
    array: Alpha = alpha.numpy()
    return array


def network_size(checkpoint: birefnet_hub.Checkpoint, width: int, height: int) -> tuple[int, int]:
    """(width, height) of the network's input for a picture of this size; multiples of 32."""
    if not checkpoint.native:
        return checkpoint.width, checkpoint.height
    scale = (checkpoint.width * checkpoint.height / (width * height)) ** 0.5
    sides = (max(1, round(side * scale / _STRIDE)) * _STRIDE for side in (width, height))
    return min(next(sides), _MAX_SIDE_PX), min(next(sides), _MAX_SIDE_PX)


def load_network(path: Path) -> BiRefNet:
    """The plain network in float32. Raises WeightsError."""
    try:
        return BiRefNet.from_state_dict(load_file(path))
    except (SafetensorError, OSError) as exc:
        raise WeightsError(f"{path} is not a safetensors file, or is truncated: {exc}") from None
