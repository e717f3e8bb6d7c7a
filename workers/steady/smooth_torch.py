"""The mode `live` of `smooth` for alphas that stay on a device, several videos at once. State in, state out.

The same method on the same grid: `smooth` says what is done, and why. Here all that is remembered of a video lies in
one tensor, so that a single resampling carries it along the motion; what begins anew is masked out, not branched
around. Nothing is read back from the device: pauses are judged by the host, which knows them; cuts are found and acted
upon on the device, each video by itself. Strengths are numbers in a tensor. So a frame is one fixed row of kernels for
whatever videos come together, which `Steadier` captures as CUDA graphs: about 145 for mattes that are drawn anew, 113
for others, most of them so small that two or three microseconds go for each (an estimate; `make gpu-check` measures
it).
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
from workers.steady.colour_guided_torch import drawn, lines
from workers.steady.grid import EPSILON, GAP_S, HEIGHT, PATIENCE, RAMP, SLACK, TRUST, WIDTH
from workers.steady.motion_torch import brought, is_cut, sized
from workers.steady.tuning import Tuning

_CHANNELS = 9  # Y, U, V of the last picture; Y, U, V and alpha of all together; count; doubt

Way = tuple[tuple[int, ...], bool]
"""What of a tuning changes the row of kernels: `radii` and `smoothstep`."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame, as far as its alpha is steadied by it. colour: the picture small, uint8 (3, 144, 256), Y, U and V.

    tuning: one that does not look ahead, else ValueError is raised.
    """

    colour: npt.NDArray[np.uint8]
    time_s: float
    tuning: Tuning

    def __post_init__(self) -> None:
        if self.tuning.look_ahead:
            raise ValueError(f"frames to come are not known here: look_ahead is {self.tuning.look_ahead}")

    @property
    def way(self) -> Way:
        return self.tuning.radii, self.tuning.smoothstep


@dataclass(frozen=True, slots=True)
class DeviceSmoothState:
    """What is remembered of a video.

    memory: float32 (9, 144, 256): the last picture small, then `smooth.Carried`'s values, count and doubt. frames:
    float32 (), how many of the scene are in it; 0: none, and the finite numbers in memory mean nothing. time_s: of the
    last frame.
    """

    memory: Tensor
    frames: Tensor
    time_s: float


class Steadier:
    """Steadies the next frames of several videos in one go.

    capture: makes the graphs that `warm` asks for; a device's if none is given. Not for several threads at once.
    """

    def __init__(self, capture: Callable[[Work, Tensors], Graph] | None = None) -> None:
        self._capture = capture
        self._graphs: dict[Way, Graphs] = {}

    @torch.inference_mode()
    def warm(self, tuning: Tuning, size: tuple[int, int], device: torch.device, batches: Sequence[int]) -> None:
        """Capture graphs for alphas of this size, (height, width), and all tunings that go the same way."""
        for batch in batches:
            seen = [Seen(np.zeros((3, HEIGHT, WIDTH), np.uint8), 0.0, tuning)] * batch
            alpha = torch.zeros(batch, *size, device=device)
            examples = (example.to(device) for example in _given([None] * batch, seen, alpha))
            self._way(seen[0].way).warm(*examples)

    @torch.inference_mode()
    def __call__(
        self, states: Sequence[DeviceSmoothState | None], seen: Sequence[Seen], alphas: Sequence[Tensor]
    ) -> list[tuple[DeviceSmoothState, Tensor]]:
        """For each video what is remembered now, and its alpha steadied: float32 (h, w), as what came in.

        alphas: 0-1, of the frames in `seen`, all on one device. Those of one size and `way` go together. A cut and a
        pause begin anew.
        """
        done: dict[int, tuple[DeviceSmoothState, Tensor]] = {}
        groups: dict[tuple[torch.Size, Way], list[int]] = defaultdict(list)
        for index, (alpha, one) in enumerate(zip(alphas, seen, strict=True)):
            groups[(alpha.shape, one.way)].append(index)
        for members in groups.values():
            given = (states[i] for i in members), [seen[i] for i in members], _stacked([alphas[i] for i in members])
            done |= zip(members, self._together(*given), strict=True)
        return [done[index] for index in range(len(seen))]

    def _together(
        self, states: Iterable[DeviceSmoothState | None], seen: Sequence[Seen], alpha: Tensor
    ) -> list[tuple[DeviceSmoothState, Tensor]]:
        memories, frames, steady = self._way(seen[0].way)(*_given(states, seen, alpha))
        kept = (DeviceSmoothState(*one) for one in zip(memories, frames, (s.time_s for s in seen), strict=True))
        return list(zip(kept, steady, strict=True))

    def _way(self, way: Way) -> Graphs:
        if way not in self._graphs:
            self._graphs[way] = Graphs(functools.partial(advance, way=way), self._capture)
        return self._graphs[way]


def _given(states: Iterable[DeviceSmoothState | None], seen: Sequence[Seen], alpha: Tensor) -> Tensors:
    """What `advance` takes. The small pictures lie in the host's memory still: a graph has a place for them."""
    known = [state or _nothing(alpha.device) for state in map(_unless_paused, states, seen)]
    memory, frames = _stacked([s.memory for s in known]), _stacked([s.frames for s in known])
    # from memory that is not pinned a device would copy them only when all that it was asked for before is done
    colour = torch.empty(len(seen), 3, HEIGHT, WIDTH, dtype=torch.uint8, pin_memory=alpha.is_cuda)
    np.stack([one.colour for one in seen], out=colour.numpy())
    return memory, frames, colour, alpha, _knobs_on(alpha.device, tuple(one.tuning for one in seen))


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """torch.stack, without a copy of a single one."""
    return torch.stack(list(tensors)) if len(tensors) > 1 else tensors[0][None]


def _unless_paused(state: DeviceSmoothState | None, seen: Seen) -> DeviceSmoothState | None:
    """None, too, where a video stepped back."""
    return state if state is not None and 0 <= seen.time_s - state.time_s <= GAP_S else None


def _nothing(device: torch.device) -> DeviceSmoothState:
    return DeviceSmoothState(torch.zeros(_CHANNELS, HEIGHT, WIDTH, device=device), torch.zeros((), device=device), 0.0)


@functools.lru_cache(maxsize=64)
def _knobs_on(device: torch.device, tunings: tuple[Tuning, ...]) -> Tensor:
    """float32 (B, 9) on the device. They hardly ever change: kept, they need not be copied to it for each frame."""
    return torch.tensor([_knobs(tuning) for tuning in tunings]).to(device, non_blocking=True)


def _knobs(tuning: Tuning) -> tuple[float, ...]:
    """What `advance` has of a tuning, as it comes up there: of the memory, then of the levels."""
    slope = 1 / (tuning.white - tuning.black)
    cap, nearness = 1 / (1 - tuning.memory), -1 / tuning.tolerance**2
    levels = slope, -tuning.black * slope, tuning.share, tuning.share / RAMP
    return TRUST, tuning.memory, cap, nearness, tuning.doubt, *levels


def advance(memory: Tensor, frames: Tensor, colour: Tensor, alpha: Tensor, knobs: Tensor, way: Way) -> Tensors:
    """memory (B, 9, 144, 256), frames (B,) and alpha (B, h, w) after the next frame. Waits for nothing.

    colour: uint8 (B, 3, 144, 256), there or in the host's memory; knobs: float32 (B, 9), of `_knobs`.
    """
    *knowing, slope, lift, share, ramp = knobs[:, :, None, None, None].unbind(1)
    here, small = colour.to(alpha.device, non_blocking=True).float(), sized(alpha[:, None], (HEIGHT, WIDTH))
    carried, unlike = brought(memory, here)
    frames = frames * ~is_cut(here, unlike)
    count = frames[:, None, None, None]
    past = _joined(torch.cat([here, small], 1), carried[:, 3:], count > 0, knowing)
    mean = past[0][:, 3:]
    mean = _drawn(mean, here, way[0]) if way[0] else mean
    # the stretch of levels is folded into the small plane: there are few steps at the alpha's own size
    change = sized(torch.addcmul(lift, mean - small, slope), (alpha.shape[1], alpha.shape[2]))
    target = torch.addcmul(change, alpha[:, None], slope).clamp(0.0, 1.0)
    if way[1]:
        target = target * target * (3 - 2 * target)
    weight = torch.minimum(count * ramp, share)
    return torch.cat([here, *past], 1), frames + 1, torch.lerp(alpha[:, None], target, weight)[:, 0]


def _joined(seen: Tensor, carried: Tensor, known: Tensor, knobs: Sequence[Tensor]) -> Tensors:
    """Values, float32 (B, 4, h, w), count and doubt, (B, 1, h, w), of `seen`, (B, 4, h, w), and of what was carried to
    it, (B, 6, h, w); of `seen` alone where nothing is known."""
    trust, most, cap, nearness, allowed = knobs
    change = (carried[:, :4] - seen) * known
    count, doubt = (carried[:, 4:] * known).chunk(2, 1)
    alike = _bell(torch.linalg.vector_norm(change[:, :3], 1, dim=1, keepdim=True), nearness)
    doubt = torch.addcmul((PATIENCE - 1) * change[:, 3:], alike, doubt, value=PATIENCE)
    alike = alike * _bell((doubt.abs() - allowed).clamp(min=0.0), -1 / SLACK**2)
    weight = alike * (count / (count + 1)).clamp(trust, most)
    total = torch.minimum(alike * count + 1, cap)
    return torch.addcmul(seen, weight, change), total, doubt


def _bell(distance: Tensor, nearness: Tensor | float) -> Tensor:
    """1 at no distance, 1/e at a width of which `nearness` is -1 / width^2."""
    return (distance * distance * nearness).exp()


def _drawn(mean: Tensor, colour: Tensor, radii: tuple[int, ...]) -> Tensor:
    """The alphas drawn anew from the picture, by lines found at half the grid over windows of these radii."""
    values = torch.cat([colour * (1 / 255), mean], 1)
    found = lines(avg_pool2d(values, 2), [radius // 2 for radius in radii], EPSILON)
    return drawn(values[:, :3], interpolate(found, (HEIGHT, WIDTH), mode="bilinear"))
