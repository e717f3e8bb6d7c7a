"""BiRefNet: the strongest still-picture matte of any subject, in half precision. A GPU's work; a CPU takes seconds.

Each frame is squashed to the network's size and seen by itself; with `roi` on, only the part of it where the subject
was, at the same scale. On a GPU live mattes are steadied before they are downloaded. Knows nothing about the network's
inside.
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
from workers.device.runner import Runner, half_precision
from workers.device.tensors import Bytes, rgb_bytes
from workers.edges import foreground, foreground_torch
from workers.engines import birefnet_roi
from workers.engines.base import Engine, Result
from workers.models.birefnet.network import BiRefNet
from workers.steady import motion
from workers.steady.smooth_torch import DeviceSmoothState, Seen, Steadier
from workers.steady.tuning import Tuning, choose
from workers.weights import hub
from workers.weights.known import Say, silent

_STRIDE = 32
_LONGEST_PX = 2304  # largest side that the variants of free size were trained with
_NOTHING = torch.zeros(0, 0)
_PATIENCE = 3  # frames of a video whose half-precision matte was no number, before it is given full precision for good


@dataclass(frozen=True, slots=True)
class Input:
    """A frame as the engine takes it, with all that its video's options ask.

    picture: uint8 (h, w, 3), RGB, of the network's size. pixels: the frame's own, if the subject's colours are wanted.
    follow: only the part is looked at where the subject was. seen: what its alpha is to be steadied by, here.
    """

    picture: Bytes
    pixels: Plane | None
    follow: bool
    seen: Seen | None = None

    @property
    def size(self) -> birefnet_roi.Size:
        return self.picture.shape[0], self.picture.shape[1]


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of a video. strikes: its frames that half precision could not hold. track: where its subject is.
    steady: what its alphas are steadied by, if they are, here."""

    strikes: int = 0
    track: birefnet_roi.Track | None = None
    steady: DeviceSmoothState | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """One frame on its way through the network. alpha: float32, of the box, then of the picture; on the device."""

    look: Input
    memory: Memory
    box: birefnet_roi.Box
    alpha: Tensor


class Birefnet(Engine):
    """A video's state is its `Memory`. Raises WeightsError.

    steadier: steadies mattes where they are made; None where that is slower than what the CPU does.
    """

    name = "birefnet"

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        self._checkpoint, _ = hub.parse(settings.birefnet)
        path = hub.find(settings.birefnet, settings, say)
        self._place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(settings.cores())
        dtype = half_precision(self._place) if settings.half else torch.float32
        self._runner = Runner(lambda: load_network(path), self._place, dtype)
        self._warn = OncePerSecond(logging.getLogger(__name__))
        self.steadier = Steadier() if self._place.type == "cuda" else None
        if not self._checkpoint.native:
            self._runner.warm([(self._checkpoint.width, self._checkpoint.height)])
            self._warm_steadier()
        self.batch = self._runner.batch
        self.recurrent = self._follow = options.roi
        self._wants_colours = foreground.wanted(options, soft=True)
        self.device = f"{self._place.type} in {str(dtype).removeprefix('torch.')}"

    def prepare(self, frame: Frame) -> Input:
        picture = rgb_bytes(frame, *network_size(self._checkpoint, frame.width, frame.height))
        return Input(picture, frame.pixels if self._wants_colours and not frame.gray else None, self._follow)

    def steadied(self, prepared: Input, frame: Frame, tuning: Tuning) -> Input:
        if self.steadier is None or tuning.look_ahead:
            return prepared
        small = motion.look(frame).colour.astype(np.uint8).transpose(2, 0, 1)
        return replace(prepared, seen=Seen(small, frame.time_s, tuning))

    def infer(self, prepared: Sequence[Input], states: Sequence[Memory | None]) -> list[Result]:
        views = [_first(look, state or Memory()) for look, state in zip(prepared, states, strict=True)]
        seen = self._see(views)
        lost = [i for i, v in enumerate(seen) if v.look.follow and birefnet_roi.lost(v.box, host(v.alpha), v.look.size)]
        wide = self._see([replace(seen[i], box=birefnet_roi.whole(seen[i].look.size)) for i in lost])
        for i, view in zip(lost, wide, strict=True):
            seen[i] = view
        seen = [_placed(view) for view in seen]
        steady = self._steady(seen)
        return [self._result(view, steady.get(i)) for i, view in enumerate(seen)]

    def _warm_steadier(self) -> None:
        """So that no video waits for it; where the device has no room for that, the CPU steadies."""
        tuning = choose(Temporal.LIVE, 1.0, self.name, live=True)
        if self.steadier is None or tuning is None:
            return
        size, batches = (self._checkpoint.height, self._checkpoint.width), (4, 2, 1)
        try:
            self.steadier.warm(tuning, size, self._place, [b for b in batches if b <= self._runner.batch])
        except RuntimeError as exc:
            self._warn.warning("birefnet: mattes are steadied on the CPU: %s", exc)
            self.steadier = None

    def _see(self, views: Sequence[Pass]) -> list[Pass]:
        """Each with the alpha in its box. Boxes of one size go through the network together."""
        groups: dict[tuple[birefnet_roi.Size, bool], list[int]] = defaultdict(list)
        for index, view in enumerate(views):
            groups[(view.box.shape, view.memory.strikes >= _PATIENCE)].append(index)
        seen: dict[int, Pass] = {}
        for (_, exact), members in groups.items():
            pictures = np.stack([views[i].look.picture[views[i].box.cut] for i in members])
            alphas = self._alphas(pictures, exact)
            whole = alphas.isfinite().flatten(1).all(1).tolist()
            checked = (self._checked(views[i], *one) for i, *one in zip(members, pictures, alphas, whole, strict=True))
            seen |= zip(members, checked, strict=True)
        return [seen[index] for index in range(len(views))]

    def _alphas(self, pictures: Bytes, exact: bool) -> Tensor:
        """float32 (B, h, w) of pictures (B, h, w, 3). Not finite where half precision failed. Raises EngineError."""
        return self._runner(torch.from_numpy(pictures), exact)

    def _checked(self, view: Pass, picture: Bytes, alpha: Tensor, finite: bool) -> Pass:
        """With the matte; one that half precision could not hold is computed again in full, and counted."""
        if finite:
            return replace(view, alpha=alpha)
        self._warn.warning("birefnet: half precision could not hold a frame; computing it in full")
        (alpha,) = self._alphas(picture[None], exact=True)
        alpha = alpha.nan_to_num(0.0).clamp(0.0, 1.0)
        return replace(view, alpha=alpha, memory=replace(view.memory, strikes=view.memory.strikes + 1))

    def _steady(self, views: Sequence[Pass]) -> dict[int, tuple[DeviceSmoothState, Tensor]]:
        """What is remembered of the videos that asked for it, and their alphas steadied, by place in the row."""
        asked = {i: view.look.seen for i, view in enumerate(views) if view.look.seen is not None}
        if self.steadier is None or not asked:
            return {}
        states, alphas = [views[i].memory.steady for i in asked], [views[i].alpha for i in asked]
        try:
            done = self.steadier(states, list(asked.values()), alphas)
        except RuntimeError as exc:  # the CPU can do it; a network that does not fit is told by the runner
            self._warn.warning("birefnet: steadying on the device failed, the CPU does it now: %s", exc)
            self.steadier = None
            return {}
        return dict(zip(asked, done, strict=True))

    def _result(self, view: Pass, steady: tuple[DeviceSmoothState, Tensor] | None) -> Result:
        state, shown = (None, view.alpha) if steady is None else steady
        alpha, track = host(shown), view.memory.track
        if view.look.follow:
            track = birefnet_roi.follow(track, view.box, alpha if steady is None else host(view.alpha))
        memory = replace(view.memory, track=track, steady=state)
        return Result(alpha, memory, self._colours(view), steady is not None)

    def _colours(self, view: Pass) -> Plane | None:
        pixels = view.look.pixels
        if pixels is None:
            return None
        on_device = self._place.type != "cpu"
        return (
            foreground_torch.estimate(pixels, view.alpha)
            if on_device
            else foreground.estimate(pixels, host(view.alpha))
        )


def _first(look: Input, memory: Memory) -> Pass:
    return Pass(
        look,
        memory,
        birefnet_roi.where(memory.track, look.size) if look.follow else birefnet_roi.whole(look.size),
        _NOTHING,
    )


def _placed(view: Pass) -> Pass:
    """With the alpha of all of the picture, 0 outside the box."""
    if view.box == birefnet_roi.whole(view.look.size):
        return view
    alpha = torch.zeros(view.look.size, device=view.alpha.device)
    alpha[view.box.cut] = view.alpha
    return replace(view, alpha=alpha)


def host(alpha: Tensor) -> Alpha:
    """The alpha in this machine's memory: by way of pinned memory, into which a device copies several times as fast."""
    if alpha.is_cuda:
        alpha = torch.empty(alpha.shape, pin_memory=True).copy_(alpha)
    numbers: Alpha = alpha.numpy()
    return numbers


def network_size(checkpoint: hub.Checkpoint, width: int, height: int) -> tuple[int, int]:
    """(width, height) that the network is given for a picture of this size; multiples of 32."""
    if not checkpoint.native:
        return checkpoint.width, checkpoint.height
    scale = (checkpoint.width * checkpoint.height / (width * height)) ** 0.5
    sides = (max(1, round(side * scale / _STRIDE)) * _STRIDE for side in (width, height))
    return min(next(sides), _LONGEST_PX), min(next(sides), _LONGEST_PX)


def load_network(path: Path) -> BiRefNet:
    """The plain network in float32. Raises WeightsError."""
    try:
        return BiRefNet.from_state_dict(load_file(path))
    except (SafetensorError, OSError) as exc:
        raise WeightsError(f"{path} is no file of tensors, or cut short: {exc}") from None
