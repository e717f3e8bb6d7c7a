"""The mode `live` of `smooth` for alphas that stay on a device, several videos at once. State in, state out.

The same method on the same grid: `smooth` says what is done, and why. Here all that is remembered of a video lies in
one tensor, so that a single resampling carries it along the motion; what begins anew is masked out, not branched
around. Nothing is read back from the device: pauses and sizes are judged by the host, which knows them; cuts are found
and acted upon on the device, each video by itself. So a frame is a fixed row of kernels, which `Steady` captures as a
CUDA graph: about 170 for mattes that are drawn anew, 142 for others, most of them so small that two or three
microseconds go for each (an estimate; `make gpu-check` measures it).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.colour_guided_torch import guided
from workers.graphs import CudaGraphs, Graph, Work
from workers.grid import EPSILON, GAP_S, HEIGHT, PATIENCE, RAMP, SLACK, TRUST, WIDTH
from workers.motion_torch import brought, is_cut, look, sized
from workers.tuning import Tuning

_CHANNELS = 9  # Y, U, V of the last picture; Y, U, V and alpha of all together; count; doubt

Times = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered of B videos.

    memory: float32 (B, 9, 144, 256): the last pictures small, then `smooth.Carried`'s values, count and doubt.
    frames: float32 (B,), how many of the scene are in it; 0: none, and the finite numbers in memory mean nothing.
    times_s, sizes: of the last frames, their presentation times, and the shapes of pictures and alphas.
    """

    memory: Tensor
    frames: Tensor
    times_s: Times
    sizes: tuple[torch.Size, torch.Size]


def step(state: State | None, pixels: Tensor, alpha: Tensor, times_s: Times, tuning: Tuning) -> tuple[State, Tensor]:
    """The next frame of each of B videos, and its alpha steadied: float32 (B, h, w), as what came in.

    pixels: uint8 I420 (B, H*3/2, W); alpha: float32 (B, h, w), 0-1, beside them; times_s: presentation times. tuning:
    one that does not look ahead, else ValueError is raised. A cut and a pause begin anew for the video that has them,
    another size or number of videos for all.
    """
    if tuning.look_ahead:
        raise ValueError(f"frames to come are not known here: look_ahead is {tuning.look_ahead}")
    sizes = (pixels.shape, alpha.shape)
    if state is None or state.sizes != sizes:
        state = State(*nothing(len(alpha), alpha.device), times_s, sizes)
    frames = _unless_paused(state.frames, state.times_s, times_s)
    memory, frames, steady = advance(state.memory, frames, pixels, alpha, tuning)
    return State(memory, frames, times_s, sizes), steady


def _unless_paused(frames: Tensor, last_s: Times, now_s: Times) -> Tensor:
    """frames, 0 where a video paused or stepped back. Filled from the host, which needs no upload."""
    paused = [n for n, (last, now) in enumerate(zip(last_s, now_s, strict=True)) if not 0 <= now - last <= GAP_S]
    if paused:
        frames = frames.clone()
    for n in paused:
        frames[n].zero_()
    return frames


def nothing(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """`memory` and `frames` of as many videos that have not begun."""
    return torch.zeros(count, _CHANNELS, HEIGHT, WIDTH, device=device), torch.zeros(count, device=device)


@torch.no_grad()
def advance(
    memory: Tensor, frames: Tensor, pixels: Tensor, alpha: Tensor, tuning: Tuning
) -> tuple[Tensor, Tensor, Tensor]:
    """`step` without the host's part: memory, frames and alpha, as it takes and gives them. Waits for nothing."""
    colour, small = look(pixels), sized(alpha[:, None], (HEIGHT, WIDTH))
    carried = brought(memory, colour)
    frames = frames * ~is_cut(colour, carried[:, :3])
    past = _joined(torch.cat([colour, small], 1), carried[:, 3:], (frames > 0)[:, None, None, None], tuning)
    weight = tuning.share * (frames / RAMP).clamp(max=1.0)
    steady = _settled(alpha, small, past[:, 3:4], colour, weight[:, None, None], tuning)
    return torch.cat([colour, past], 1), frames + 1, steady


def _joined(seen: Tensor, carried: Tensor, known: Tensor, tuning: Tuning) -> Tensor:
    """float32 (B, 6, h, w): values, count and doubt of `seen`, (B, 4, h, w), and of what was carried to it; of `seen`
    alone where nothing is known."""
    change = (carried[:, :4] - seen) * known
    count, doubt = (carried[:, 4:] * known).chunk(2, 1)
    alike = _bell(change[:, :3].abs().sum(1, keepdim=True), tuning.tolerance)
    doubt = PATIENCE * alike * doubt - (1 - PATIENCE) * change[:, 3:]
    alike = alike * _bell((doubt.abs() - tuning.doubt).clamp(min=0.0), SLACK)
    weight = alike * (count / (count + 1)).clamp(TRUST, tuning.memory)
    total = torch.addcmul(torch.ones_like(count), alike, count).clamp(max=1 / (1 - tuning.memory))
    return torch.cat([torch.addcmul(seen, weight, change), total, doubt], 1)


def _bell(distance: Tensor, width: float) -> Tensor:
    """1 at no distance, 1/e at `width`."""
    return (distance * distance * (-1 / width**2)).exp()


def _settled(alpha: Tensor, small: Tensor, mean: Tensor, colour: Tensor, weight: Tensor, tuning: Tuning) -> Tensor:
    """The alpha that leaves: the engine's, moved by `weight` to what all frames say together."""
    if tuning.radii:
        picture = colour * (1 / 255)
        drawn = [guided(picture, mean, radius, EPSILON) for radius in tuning.radii]
        mean = torch.stack(drawn).mean(0) if len(drawn) > 1 else drawn[0]
    # the stretch of levels is folded into the small plane: there are few steps at the alpha's own size
    slope = 1 / (tuning.white - tuning.black)
    change = sized((mean - small - tuning.black) * slope, (alpha.shape[1], alpha.shape[2]))[:, 0]
    target = torch.add(change, alpha, alpha=slope).clamp(0.0, 1.0)
    if tuning.smoothstep:
        target = target * target * (3 - 2 * target)
    return torch.lerp(alpha, target, weight)


class Steady:
    """`step` for videos of given sizes, captured as one graph: what it remembers stays where it is on the device.

    pixels, alpha: an example of each, as `step` takes them. capture: makes the graph; a device's if none is given.
    """

    def __init__(
        self, pixels: Tensor, alpha: Tensor, tuning: Tuning, capture: Callable[[Work, Tensor], Graph] | None = None
    ) -> None:
        self._tuning = tuning
        self._pixels = pixels.clone()
        self._memory, self._frames = nothing(len(alpha), alpha.device)
        self._times_s: Times = (0.0,) * len(alpha)
        self._graph = (capture or CudaGraphs())(self._advance, alpha)
        self._frames.zero_()  # a capture runs it several times

    def __call__(self, pixels: Tensor, alpha: Tensor, times_s: Times) -> Tensor:
        """The next alphas, steadied: in a tensor that the next call overwrites."""
        self._frames.copy_(_unless_paused(self._frames, self._times_s, times_s))
        self._times_s = times_s
        self._pixels.copy_(pixels, non_blocking=True)
        self._graph.given.copy_(alpha, non_blocking=True)
        self._graph.replay()
        return self._graph.answer

    def _advance(self, alpha: Tensor) -> Tensor:
        memory, frames, steady = advance(self._memory, self._frames, self._pixels, alpha, self._tuning)
        self._memory.copy_(memory)
        self._frames.copy_(frames)
        return steady
