"""Engines that all live videos of a process share."""

from pathlib import Path

import numpy as np

from stream.records.options import Options
from stream.settings import Settings
from tests.onnx_networks import unet
from tests.servers import asynctest
from tests.workers.engines.engine_runs import clip, infer
from workers.engines.base import Engine
from workers.live.pool import Engines

OWN = Options(engine="onnx")


class Video:
    """What an engine is loaded for. engine: the last one that was set."""

    def __init__(self, options: Options) -> None:
        self.options, self.notice = options, ""
        self.engine: Engine | None = None

    def set_engine(self, engine: Engine) -> None:
        self.engine = engine


@asynctest
async def test_a_network_of_the_operator_is_shared_by_live_videos(tmp_path: Path) -> None:
    engines = Engines(Settings(onnx=f"{unet(tmp_path / 'n.onnx')}@96x64"))
    videos = [Video(OWN), Video(OWN)]
    for video in videos:
        await engines.provide(video, OWN, "a video")
    engine = videos[0].engine
    assert engine is not None
    assert videos[1].engine is engine
    assert videos[0].notice == ""
    (result,) = infer(engine, clip(160, 120, 1), [None])
    assert result.alpha.shape == (64, 96)
    assert np.ptp(result.alpha) > 0
    await engines.close()


@asynctest
async def test_an_engine_that_cannot_be_loaded_is_reported_without_paths(tmp_path: Path) -> None:
    engines = Engines(Settings(onnx=str(tmp_path / "missing.onnx")))
    video = Video(Options(engine="onnx"))
    await engines.provide(video, OWN, "a video")
    assert video.notice == "onnx is unavailable here: missing.onnx does not exist"
    await engines.close()
