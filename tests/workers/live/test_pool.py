"""Engines that all live videos of a process share."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream.errors import EngineError
from stream.picture.frames import Frame
from stream.records.options import Options
from stream.records.subjects import parse_subjects
from stream.settings import Settings
from tests.onnx_networks import unet
from tests.servers import asynctest
from tests.workers.choosers import scene
from tests.workers.choosers.scene import Scene
from tests.workers.engines.engine_runs import clip, infer
from workers.choosers.base import Choice, Question
from workers.engines.base import Engine
from workers.live.pool import Engines
from workers.live.shared_chooser import SharedChooser

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


def chosen(*specs: str, **options: str) -> Options:
    return Options.read(**{"engine": "chroma", "subjects": list(specs)} | options)


class Counted(Scene):
    loads = 0

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        Counted.loads += 1


class Unloadable(Scene):
    broken = True

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        if Unloadable.broken:
            raise EngineError("no memory is left on the device")


def first_result(engine: Engine | None, options: Options) -> np.ndarray:
    assert engine is not None
    frame: Frame = clip(320, 180, 1)[0]
    prepared = engine.prepare(frame)
    if options.subjects:
        prepared = engine.prompted(prepared, frame, options.subjects)
    return engine.infer([prepared], [None])[0].alpha


@asynctest
async def test_other_prompts_load_nothing_and_engine_and_chooser_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    from workers import engines as known

    real = known.load

    def load(name: str, options: Options, settings: Settings) -> Engine:
        loaded.append(name)
        return real(name, options, settings)

    monkeypatch.setattr(known, "load", load)
    Counted.loads = 0
    with scene.registered(replace(scene.RECORD, place="tests.workers.live.test_pool:Counted")):
        engines = Engines(Settings(threads=1))
        wishes = [chosen(), chosen("red"), chosen("point:0.7,0.5", "not:red"), chosen("red", foreground="estimate")]
        videos = [Video(wish) for wish in wishes]
        for video, wish in zip(videos, wishes, strict=True):
            await engines.provide(video, wish, "a video")
        assert (Counted.loads, loaded) == (1, ["chroma", "chroma"])  # the second one for other colours
        assert videos[1].engine is videos[2].engine
        assert videos[0].engine is not videos[1].engine
        assert engines.ready(chosen("blue", "a=box:0,0,1,1")) is videos[1].engine
        assert engines.ready(wishes[0]) is videos[0].engine
        assert [video.notice for video in videos] == [""] * 4
        assert first_result(videos[0].engine, wishes[0]).shape == first_result(videos[1].engine, wishes[1]).shape
        meters = engines.meters()
        assert meters["busy_s"] > 0
        assert engines.health(serving=True).name == "OK"
        await engines.close()


@asynctest
async def test_a_chooser_that_cannot_be_loaded_leaves_the_video_covered_and_is_tried_again() -> None:
    with scene.registered(replace(scene.RECORD, place="tests.workers.live.test_pool:Unloadable")):
        engines, wish = Engines(Settings(threads=1)), chosen("not:red")
        video = Video(wish)
        await engines.provide(video, wish, "a video")
        assert video.engine is None  # not even that of other videos: it would show what is to be removed
        assert video.notice == "the subjects cannot be found: no memory is left on the device"
        Unloadable.broken = False
        await engines.provide(video, wish, "a video")
        assert video.engine is not None
        await engines.close()


def test_a_shared_chooser_is_called_by_one_thread_at_a_time() -> None:
    most: list[int] = []

    class Exclusive(Scene):
        inside = 0

        def choose(self, questions: object, states: object) -> list[Choice]:
            self.inside += 1
            time.sleep(0.001)  # lets other threads run
            most.append(self.inside)
            self.inside -= 1
            return super().choose(questions, states)  # type: ignore[arg-type]

    shared = SharedChooser(Exclusive(Options(), Settings()))
    question = Question(None, parse_subjects(["red"]), 320, 180)
    found: list[Choice] = []
    threads = [threading.Thread(target=lambda: found.extend(shared.choose([question], [None]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), most) == (4, [1] * 4)
    assert shared.busy_s > 0


@asynctest
async def test_parts_of_faces_are_kept_with_one_engine_and_one_network(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tests.workers.choosers.tiny_segmenters import segformer
    from workers.engines.with_face_parts import WithFaceParts

    segformer().save_pretrained(tmp_path)
    engines = Engines(Settings(faces=str(tmp_path), half=False, offline=True))
    plain = await engines.get(Options(engine="chroma"))
    keeping = [await engines.get(Options.read(engine="chroma", keep=keep)) for keep in ("hat", "hair,hat", "hat")]
    assert keeping[0] is keeping[2]
    inner = [device._engine for device in keeping]
    assert all(isinstance(engine, WithFaceParts) and engine._engine is plain for engine in inner)
    assert len({id(engine._network) for engine in inner if isinstance(engine, WithFaceParts)}) == 1
    frames = clip(160, 120, 1)
    (result,) = infer(keeping[0], frames, [None])
    assert (result.alpha >= infer(plain, frames, [None])[0].alpha).all()
    await engines.close()


@asynctest
async def test_without_the_network_for_faces_a_video_is_shown_without_the_parts(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    engines = Engines(Settings(faces=str(tmp_path / "none")))
    options = Options.read(engine="chroma", keep="hat")
    video = Video(options)
    await engines.provide(video, options, "a video")
    assert video.notice == "the parts to keep cannot be found: none does not exist"
    assert video.engine is await engines.get(Options(engine="chroma"))
    await engines.close()
