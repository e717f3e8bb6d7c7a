"""The mode `live` of `smooth` for alphas on a device, several videos at once. State in, state out.

The method and the grid are those of `smooth`, which explains them. Here all state of a video is one tensor, so that a
single resampling warps it; videos that start over are masked, not branched on. Nothing is read back from the device:
the host detects pauses, the device detects cuts, per video. The parameters of the tunings are a tensor too. So every
batch is the same sequence of kernels, which `DeviceSmoother` captures as CUDA graphs: about 145 kernels for mattes with
the guided filter, 113 for others, most of them so small that each takes two or three microseconds (an estimate;
`make gpu-check` measures it).
"""

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from workers.device.graphs import Graph, Graphs, Tensors, Work
from workers.steady.colour_guided_torch import apply_coefficients, fit_coefficients
from workers.steady.grid import (
    DOUBT_DECAY,
    DOUBT_WIDTH,
    EPSILON,
    HEIGHT,
    MAX_GAP_S,
    MIN_HISTORY_WEIGHT,
    RAMP_FRAMES,
    WIDTH,
)
from workers.steady.motion_torch import is_cut, motion_compensated, resized
from workers.steady.tuning import Tuning

_CHANNELS = 9  # Y, U, V of the last picture; Y, U, V and alpha of the average; count; doubt

Variant = tuple[tuple[int, ...], bool]
"""The fields of a tuning that change the sequence of kernels: `radii` and `smoothstep`."""


@dataclass(frozen=True, slots=True)
class SmoothInput:
    """What smoothing needs of a frame. colour: its thumbnail, uint8 (3, 144, 256), Y, U and V.

    tuning: without look-ahead, otherwise ValueError is raised.
    """

    colour: npt.NDArray[np.uint8]
    time_s: float
    tuning: Tuning

    def __post_init__(self) -> None:
        if self.tuning.look_ahead:
            raise ValueError(f"smoothing on a device cannot look ahead: look_ahead is {self.tuning.look_ahead}")

    @property
    def variant(self) -> Variant:
        return self.tuning.radii, self.tuning.smoothstep


@dataclass(frozen=True, slots=True)
class DeviceSmoothState:
    """What is remembered of one video.

    memory: float32 (9, 144, 256): the last thumbnail, then Y, U, V and alpha of the average, their count
    and doubt, as in `smooth.Average`.
    frames: float32 (), how many of the scene are in it; if 0, memory holds finite numbers without meaning. time_s: of
    the last frame.
    """

    memory: Tensor
    frames: Tensor
    time_s: float


class DeviceSmoother:
    """Smooths the next frames of several videos in one batch.

    capture: makes the graphs that `warm` captures; CUDA graphs by default. Not thread-safe.
    """

    def __init__(self, capture: Callable[[Work, Tensors], Graph] | None = None) -> None:
        self._capture = capture
        self._graphs: dict[Variant, Graphs] = {}

    @torch.inference_mode()
    def warm(self, tuning: Tuning, size: tuple[int, int], device: torch.device, batches: Sequence[int]) -> None:
        """Capture graphs for alphas of this size, (height, width), and all tunings of the same variant."""
        for batch in batches:
            inputs = [SmoothInput(np.zeros((3, HEIGHT, WIDTH), np.uint8), 0.0, tuning)] * batch
            alpha = torch.zeros(batch, *size, device=device)
            examples = (example.to(device) for example in _arguments([None] * batch, inputs, alpha))
            self._graphs_of(inputs[0].variant).warm(*examples)

    @torch.inference_mode()
    def __call__(
        self, states: Sequence[DeviceSmoothState | None], inputs: Sequence[SmoothInput], alphas: Sequence[Tensor]
    ) -> list[tuple[DeviceSmoothState, Tensor]]:
        """For each video its new state and its smoothed alpha, float32 (h, w), of the size of the given one.

        alphas: float32 (h, w), 0-1, of the frames in `inputs`, all on one device. Those of one size and variant are
        batched. A cut and a pause start over.
        """
        done: dict[int, tuple[DeviceSmoothState, Tensor]] = {}
        groups: dict[tuple[torch.Size, Variant], list[int]] = defaultdict(list)
        for index, (alpha, one) in enumerate(zip(alphas, inputs, strict=True)):
            groups[(alpha.shape, one.variant)].append(index)
        for members in groups.values():
            batch = (states[i] for i in members), [inputs[i] for i in members], _stacked([alphas[i] for i in members])
            done |= zip(members, self._smooth_batch(*batch), strict=True)
        return [done[index] for index in range(len(inputs))]

    def _smooth_batch(
        self, states: Iterable[DeviceSmoothState | None], inputs: Sequence[SmoothInput], alpha: Tensor
    ) -> list[tuple[DeviceSmoothState, Tensor]]:
        memories, frames, smoothed = self._graphs_of(inputs[0].variant)(*_arguments(states, inputs, alpha))
        times_s = (one.time_s for one in inputs)
        new = (DeviceSmoothState(*fields) for fields in zip(memories, frames, times_s, strict=True))
        return list(zip(new, smoothed, strict=True))

    def _graphs_of(self, variant: Variant) -> Graphs:
        if variant not in self._graphs:
            self._graphs[variant] = Graphs(functools.partial(advance, variant=variant), self._capture)
        return self._graphs[variant]


def _arguments(states: Iterable[DeviceSmoothState | None], inputs: Sequence[SmoothInput], alpha: Tensor) -> Tensors:
    """The arguments of `advance`. The thumbnails are in host memory: a graph copies them to its own buffers."""
    known = [state or _empty(alpha.device) for state in map(_unless_paused, states, inputs)]
    memory, frames = _stacked([s.memory for s in known]), _stacked([s.frames for s in known])
    # from unpinned memory the device would copy them only after all its earlier work
    colour = torch.empty(len(inputs), 3, HEIGHT, WIDTH, dtype=torch.uint8, pin_memory=alpha.is_cuda)
    np.stack([one.colour for one in inputs], out=colour.numpy())
    return memory, frames, colour, alpha, _parameters_on(alpha.device, tuple(one.tuning for one in inputs))


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """torch.stack, which does not copy a single tensor."""
    return torch.stack(list(tensors)) if len(tensors) > 1 else tensors[0][None]


def _unless_paused(state: DeviceSmoothState | None, new: SmoothInput) -> DeviceSmoothState | None:
    """The state, or None after a pause or a step back in time."""
    return state if state is not None and 0 <= new.time_s - state.time_s <= MAX_GAP_S else None


def _empty(device: torch.device) -> DeviceSmoothState:
    return DeviceSmoothState(torch.zeros(_CHANNELS, HEIGHT, WIDTH, device=device), torch.zeros((), device=device), 0.0)


@functools.lru_cache(maxsize=64)
def _parameters_on(device: torch.device, tunings: tuple[Tuning, ...]) -> Tensor:
    """float32 (B, 9) on the device. They rarely change: cached, they are not copied to it for each frame."""
    return torch.tensor([_parameters(tuning) for tuning in tunings]).to(device, non_blocking=True)


def _parameters(tuning: Tuning) -> tuple[float, ...]:
    """The numbers of a tuning that `advance` needs, in its order: five of the average, then four of the output."""
    slope = 1 / (tuning.white - tuning.black)
    max_count, scale = 1 / (1 - tuning.memory), -1 / tuning.tolerance**2
    output = slope, -tuning.black * slope, tuning.share, tuning.share / RAMP_FRAMES
    return MIN_HISTORY_WEIGHT, tuning.memory, max_count, scale, tuning.doubt, *output


def advance(
    memory: Tensor, frames: Tensor, colour: Tensor, alpha: Tensor, parameters: Tensor, variant: Variant
) -> Tensors:
    """memory (B, 9, 144, 256), frames (B,) and alpha (B, h, w) after the next frame. Never waits for the device.

    colour: uint8 (B, 3, 144, 256), on the device or in host memory. parameters: float32 (B, 9), of `_parameters`.
    """
    *average, slope, lift, share, ramp = parameters[:, :, None, None, None].unbind(1)
    current, small = colour.to(alpha.device, non_blocking=True).float(), resized(alpha[:, None], (HEIGHT, WIDTH))
    warped, residual = motion_compensated(memory, current)
    frames = frames * ~is_cut(current, residual)
    count = frames[:, None, None, None]
    past = _averaged(torch.cat([current, small], 1), warped[:, 3:], count > 0, average)
    mean = past[0][:, 3:]
    mean = _guided(mean, current, variant[0]) if variant[0] else mean
    # black and white levels are folded into the small plane: few kernels run at the alpha's own size
    change = resized(torch.addcmul(lift, mean - small, slope), (alpha.shape[1], alpha.shape[2]))
    target = torch.addcmul(change, alpha[:, None], slope).clamp(0.0, 1.0)
    if variant[1]:
        target = target * target * (3 - 2 * target)
    weight = torch.minimum(count * ramp, share)
    return torch.cat([current, *past], 1), frames + 1, torch.lerp(alpha[:, None], target, weight)[:, 0]


def _averaged(values: Tensor, history: Tensor, known: Tensor, parameters: Sequence[Tensor]) -> Tensors:
    """`smooth._averaged` with values (B, 4, h, w) and warped history (B, 6, h, w), which is ignored where not `known`.

    Returns values (B, 4, h, w), count and doubt (B, 1, h, w), float32.
    """
    min_weight, max_weight, max_count, scale, tolerated = parameters
    change = (history[:, :4] - values) * known
    count, doubt = (history[:, 4:] * known).chunk(2, 1)
    agreement = _gaussian(torch.linalg.vector_norm(change[:, :3], 1, dim=1, keepdim=True), scale)
    doubt = torch.addcmul((DOUBT_DECAY - 1) * change[:, 3:], agreement, doubt, value=DOUBT_DECAY)
    agreement = agreement * _gaussian((doubt.abs() - tolerated).clamp(min=0.0), -1 / DOUBT_WIDTH**2)
    weight = agreement * (count / (count + 1)).clamp(min_weight, max_weight)
    total = torch.minimum(agreement * count + 1, max_count)
    return torch.addcmul(values, weight, change), total, doubt


def _gaussian(distance: Tensor, scale: Tensor | float) -> Tensor:
    """exp(scale * distance^2). scale: -1 / width^2."""
    return (distance * distance * scale).exp()


def _guided(mean: Tensor, colour: Tensor, radii: tuple[int, ...]) -> Tensor:
    """The mean alphas fitted to the picture by a guided filter, with coefficients fitted at half the grid's size."""
    values = torch.cat([colour * (1 / 255), mean], 1)
    coefficients = fit_coefficients(avg_pool2d(values, 2), [radius // 2 for radius in radii], EPSILON)
    return apply_coefficients(values[:, :3], interpolate(coefficients, (HEIGHT, WIDTH), mode="bilinear"))
