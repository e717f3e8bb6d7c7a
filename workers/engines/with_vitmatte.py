"""Adds ViTMatte to an engine: it computes the edge of the engine's matte again, at the picture's full resolution.

It runs after temporal smoothing (`Engine.refined`). Smoothing before it keeps the trimap steady and fits coarse mattes
to the picture. Smoothing after it would blur the details that it finds.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from stream.picture.frames import Alpha, Plane
from stream.records.options import Options
from stream.settings import Settings
from workers.device.vitmatte import VitMatte
from workers.edges import detail, foreground
from workers.engines.base import Engine, EngineState, Prepared, Result
from workers.steady.smooth import MattedFrame
from workers.weights.known import Say
from workers.weights.transformers_repos import CATALOGUES


class Network(Protocol):
    """batch: the largest useful number of pictures per call. Called as a `detail.Network`."""

    batch: int

    def __call__(self, pictures: Plane, trimaps: Plane) -> Alpha: ...


class WithVitMatte:
    """Wraps `engine` and keeps its name. Its results are unchanged; `refined` changes the mattes made of them.

    estimates: estimate the subject's colours from the refined alpha, unless the engine returns them.
    """

    def __init__(self, engine: Engine, network: Network, estimates: bool) -> None:
        self.name, self.batch, self.recurrent = engine.name, engine.batch, engine.recurrent
        self.warmup_frames, self.device = engine.warmup_frames, engine.device
        self.prepare, self.prompted, self.steadied = engine.prepare, engine.prompted, engine.steadied
        self.measure, self.recall, self.chooser = engine.measure, engine.recall, engine.chooser
        self._engine, self._network, self._estimates = engine, network, estimates

    def infer(self, prepared: Sequence[Prepared], states: Sequence[EngineState]) -> list[Result]:
        return self._engine.infer(prepared, states)

    def refined(self, matted: MattedFrame) -> MattedFrame:
        frame = matted.frame
        alpha = detail.refine(frame, matted.alpha, self._network, self._network.batch)
        colours = matted.foreground
        if colours is None and self._estimates and not frame.gray:
            colours = foreground.estimate(frame.pixels, alpha)
        return replace(matted, alpha=alpha, foreground=colours)


def with_vitmatte(engine: Engine, options: Options, settings: Settings, say: Say) -> WithVitMatte:
    """The engine with the network of `settings.vitmatte`, downloaded if necessary. Raises UsageError, WeightsError."""
    folder = CATALOGUES["vitmatte"].find(settings.vitmatte, settings, say)
    network = VitMatte(folder, settings.cores())
    return WithVitMatte(engine, network, foreground.should_estimate(options, soft=True))
