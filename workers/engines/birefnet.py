"""BiRefNet: the strongest still-picture matte of any subject, in half precision. A GPU's work; a CPU takes seconds.

Each frame is squashed to the network's size and seen by itself; with `roi` on, only the part of it where the subject
was, at the same scale. Knows nothing about the network's inside.
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

from stream.errors import WeightsError
from stream.frames import Frame, Plane
from stream.log import OncePerSecond
from stream.session import Options
from stream.settings import Settings
from workers import hub, refine, roi
from workers.engines.base import Alpha, Result
from workers.models.birefnet import BiRefNet
from workers.runner import Runner, half_precision
from workers.tensors import Bytes, rgb_bytes
from workers.weights import Say, silent

_STRIDE = 32
_LONGEST_PX = 2304  # largest side that the variants of free size were trained with
_NOTHING: Alpha = np.zeros((0, 0), np.float32)
_PATIENCE = 3  # frames of a video whose half-precision matte was no number, before it is given full precision for good


@dataclass(frozen=True, slots=True)
class Look:
    """A frame as the engine takes it, with all that its video's options ask.

    picture: uint8 (h, w, 3), RGB, of the network's size. pixels: the frame's own, if the subject's colours are wanted.
    follow: only the part is looked at where the subject was.
    """

    picture: Bytes
    pixels: Plane | None
    follow: bool

    @property
    def size(self) -> roi.Size:
        return self.picture.shape[0], self.picture.shape[1]


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of a video. strikes: its frames that half precision could not hold. track: where its subject is."""

    strikes: int = 0
    track: roi.Track | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One frame on its way through the network. alpha: float32, of the box."""

    look: Look
    memory: Memory
    box: roi.Box
    alpha: Alpha


class Birefnet:
    """A video's state is its `Memory`. Raises WeightsError."""

    name = "birefnet"
    warmup_frames = 0

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        self._checkpoint, _ = hub.parse(settings.birefnet)
        path = hub.find(settings.birefnet, settings, say)
        self._place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(settings.cores())
        dtype = half_precision(self._place) if settings.half else torch.float32
        self._runner = Runner(lambda: load_network(path), self._place, dtype)
        if not self._checkpoint.native:
            self._runner.warm([(self._checkpoint.width, self._checkpoint.height)])
        self.batch = self._runner.batch
        self.recurrent = self._follow = options.roi
        self._colours = refine.wanted(options, soft=True)
        self.device = f"{self._place.type} in {str(dtype).removeprefix('torch.')}"
        self._warn = OncePerSecond(logging.getLogger(__name__))

    def prepare(self, frame: Frame) -> Look:
        picture = rgb_bytes(frame, *network_size(self._checkpoint, frame.width, frame.height))
        return Look(picture, frame.pixels if self._colours and not frame.gray else None, self._follow)

    def infer(self, prepared: Sequence[Look], states: Sequence[Memory | None]) -> list[Result]:
        views = [_first(look, state or Memory()) for look, state in zip(prepared, states, strict=True)]
        seen = self._see(views)
        lost = [i for i, v in enumerate(seen) if v.look.follow and roi.lost(v.box, v.alpha, v.look.size)]
        wide = self._see([replace(seen[i], box=roi.whole(seen[i].look.size)) for i in lost])
        for i, view in zip(lost, wide, strict=True):
            seen[i] = view
        return [self._result(view) for view in seen]

    def _see(self, views: Sequence[View]) -> list[View]:
        """Each with the alpha in its box. Boxes of one size go through the network together."""
        groups: dict[tuple[roi.Size, bool], list[int]] = defaultdict(list)
        for index, view in enumerate(views):
            groups[(view.box.shape, view.memory.strikes >= _PATIENCE)].append(index)
        seen: dict[int, View] = {}
        for (_, exact), members in groups.items():
            pictures = np.stack([views[i].look.picture[views[i].box.cut] for i in members])
            alphas = self._alphas(pictures, exact)
            seen |= {i: self._checked(views[i], p, a) for i, p, a in zip(members, pictures, alphas, strict=True)}
        return [seen[index] for index in range(len(views))]

    def _alphas(self, pictures: Bytes, exact: bool) -> Alpha:
        """float32 (B, h, w) of pictures (B, h, w, 3). Not finite where half precision failed. Raises EngineError."""
        alphas: Alpha = self._runner(torch.from_numpy(pictures), exact).cpu().numpy()
        return alphas

    def _checked(self, view: View, picture: Bytes, alpha: Alpha) -> View:
        """With the matte; one that half precision could not hold is computed again in full, and counted."""
        if np.isfinite(alpha).all():
            return replace(view, alpha=alpha)
        self._warn.warning("birefnet: half precision could not hold a frame; computing it in full")
        (alpha,) = self._alphas(picture[None], exact=True)
        alpha = np.nan_to_num(alpha, nan=0.0).clip(0.0, 1.0)
        return replace(view, alpha=alpha, memory=replace(view.memory, strikes=view.memory.strikes + 1))

    def _result(self, view: View) -> Result:
        look, memory, alpha = view.look, view.memory, view.alpha
        if view.box != roi.whole(look.size):
            alpha = np.zeros(look.size, np.float32)
            alpha[view.box.cut] = view.alpha
        if look.follow:
            memory = replace(memory, track=roi.follow(memory.track, view.box, alpha))
        colours = None if look.pixels is None else refine.estimate(look.pixels, alpha, self._place.type)
        return Result(alpha, memory, colours)


def _first(look: Look, memory: Memory) -> View:
    return View(look, memory, roi.where(memory.track, look.size) if look.follow else roi.whole(look.size), _NOTHING)


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
