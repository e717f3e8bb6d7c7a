"""An engine with a chooser: what is kept, removed and corrected, over time, in files and through `Matte`."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from stream.errors import EngineError, NotLoaded
from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Alpha, Frame, VideoInfo
from stream.records.options import Options
from stream.records.subjects import parse_subjects
from stream.settings import Settings
from tests.workers.choosers import scene
from tests.workers.choosers.scene import HEIGHT, RECORD, WIDTH, Scene
from workers.choosers.base import Choice, Question
from workers.choosers.given import Given
from workers.choosers.given import Memory as GivenMemory
from workers.engines.base import Engine, Result
from workers.engines.chroma import Chroma
from workers.engines.for_pictures import ForPictures
from workers.engines.with_foreground import WithForeground
from workers.engines.with_subjects import WithSubjects
from workers.live.device_thread import DeviceThread
from workers.matte import Matte
from workers.scene.backgrounds import open_background

pytestmark = pytest.mark.usefixtures("scene_chooser")

RATE = 10
SETTINGS = Settings(threads=1)


class Shy(Scene):
    """Does not find the blue subject from 1 to 1.8 s."""

    hidden: ClassVar = {"blue": (1.0, 1.8)}


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [Frame(np.asarray(rgb_to_i420(scene.picture(n / RATE)), np.uint8), n, Fraction(1, RATE)) for n in range(25)]


def engine_with(chooser: Scene | None = None) -> WithSubjects:
    return WithSubjects(Chroma(Options(), SETTINGS), chooser or Scene(Options(), SETTINGS))


def run(engine: WithSubjects, frames: Sequence[Frame], *specs: str) -> list[Result]:
    subjects, results, state = parse_subjects(specs), list[Result](), None
    for frame in frames:
        prepared = engine.prepare(frame)
        if subjects:
            prepared = engine.prompted(prepared, frame, subjects)
        results += engine.infer([prepared], [state])
        state = results[-1].state
    return results


def true(name: str, frame: Frame) -> Alpha:
    return scene.alpha(name, frame.time_s)


def assert_shown(alpha: Alpha, frame: Frame, *names: str) -> None:
    """These subjects are shown, whole and with the engine's edge, and the others are not."""
    for name in scene.COLOURS:
        inside = true(name, frame)
        if name in names:
            assert alpha[inside == 1].min() > 0.6, f"{name} at {frame.time_s}"
            assert np.abs(alpha - inside)[inside > 0].mean() < 0.03
        else:
            assert alpha[inside > 0].max() < 0.02, f"{name} at {frame.time_s}"


@pytest.mark.parametrize(
    ("specs", "shown"),
    [
        (("point:0.3,0.5",), ["red"]),
        (("point:224,90",), ["blue"]),
        (("box:0.5,0,0.5,1",), ["blue"]),
        (("red",), ["red"]),
        (("class:red,blue",), ["red", "blue"]),
        (("a=point:0.3,0.5", "b=point:0.7,0.5"), ["red", "blue"]),
        (("class:red,blue", "point:-0.7,0.5"), ["red"]),
        (("class:red,blue", "not:blue"), ["red"]),
        (("not:point:0.3,0.5",), ["blue"]),
        (("not:class:red,blue",), []),
        (("point:0.5,0.05",), []),
    ],
    ids=str,
)
def test_what_is_chosen_is_shown_and_nothing_else(
    frames: list[Frame], specs: tuple[str, ...], shown: list[str]
) -> None:
    for frame, result in zip(frames[:5], run(engine_with(), frames[:5], *specs), strict=True):
        assert_shown(result.alpha, frame, *shown)
        assert result.unsure == ()


def test_a_correction_applies_from_its_time_on(frames: list[Frame]) -> None:
    results = run(engine_with(), frames, "class:red,blue", "point:-0.7,0.5@1")
    for frame, result in zip(frames, results, strict=True):
        assert_shown(result.alpha, frame, *(["red", "blue"] if frame.time_s < 1 else ["red"]))


def test_before_its_first_prompt_a_subject_is_not_shown_and_not_missed(frames: list[Frame]) -> None:
    results = run(engine_with(Shy(Options(), SETTINGS)), frames[:8], "point:0.3,0.5@0.5")
    for frame, result in zip(frames, results, strict=False):
        assert_shown(result.alpha, frame, *(["red"] if frame.time_s >= 0.5 else []))
        assert result.unsure == ()


def test_a_subject_that_is_not_found_fades_out_and_is_reported(frames: list[Frame]) -> None:
    results = run(engine_with(Shy(Options(), SETTINGS)), frames, "red=red", "blue=blue")
    place = true("blue", frames[9]) == 1
    strengths = [float(result.alpha[place].mean()) for result in results]
    for frame, result, strength in zip(frames, results, strengths, strict=True):
        assert_shown(result.alpha * (true("red", frame) > 0), frame, "red")
        since_s = frame.time_s - 0.9
        hidden = 1.0 <= frame.time_s < 1.8
        assert result.unsure == (("blue",) if hidden else ())
        if hidden:
            assert strength == pytest.approx(max(0.0, 1 - since_s / 0.5), abs=0.05)
    assert_shown(results[-1].alpha, frames[-1], "red", "blue")


def test_a_removed_subject_that_is_not_found_stays_removed_for_half_a_second(frames: list[Frame]) -> None:
    results = run(engine_with(Shy(Options(), SETTINGS)), frames, "not:blue")
    place = true("blue", frames[9]) == 1
    assert [result.alpha[place].mean() < 0.05 for result in results[10:14]] == [True] * 4
    assert results[15].alpha[place].mean() > 0.5
    assert results[12].unsure == ("removed",)


def test_what_the_engine_does_not_see_is_whole(frames: list[Frame]) -> None:
    class Blind(Chroma):
        def infer(self, prepared: Sequence[Frame], states: Sequence[object]) -> list[Result]:
            return [replace(each, alpha=each.alpha * 0) for each in super().infer(prepared, states)]

    engine = WithSubjects(Blind(Options(), SETTINGS), Scene(Options(), SETTINGS))
    for frame, result in zip(frames[:3], run(engine, frames[:3], "red"), strict=True):
        assert result.alpha[true("red", frame) == 1].mean() > 0.97
        assert result.alpha[true("blue", frame) > 0].max() < 0.02
        assert result.foreground is not None
        unseen = np.repeat(np.repeat(true("red", frame)[::2, ::2] == 1, 2, 0), 2, 1)
        luma, own = result.foreground[:HEIGHT], frame.pixels[:HEIGHT]
        np.testing.assert_array_equal(luma[unseen & (true("red", frame) == 1)], own[unseen & (true("red", frame) == 1)])


def test_a_video_without_subjects_is_unchanged(frames: list[Frame]) -> None:
    alone, state = Chroma(Options(), SETTINGS), None
    for frame, result in zip(frames[:3], run(engine_with(), frames[:3]), strict=True):
        (wanted,) = alone.infer([alone.prepare(frame)], [state])
        state = wanted.state
        np.testing.assert_array_equal(result.alpha, wanted.alpha)
        assert result.foreground is not None
        assert wanted.foreground is not None
        np.testing.assert_array_equal(result.foreground, wanted.foreground)


def test_several_videos_are_asked_in_one_call(frames: list[Frame]) -> None:
    chooser = Scene(Options(), SETTINGS)
    engine = engine_with(chooser)
    wishes = [parse_subjects([spec]) for spec in ("red", "blue")]
    prepared = [engine.prompted(engine.prepare(frames[0]), frames[0], wish) for wish in wishes]
    first, without, second = engine.infer([prepared[0], engine.prepare(frames[0]), prepared[1]], [None] * 3)
    assert chooser.calls == [2]
    assert_shown(first.alpha, frames[0], "red")
    assert_shown(without.alpha, frames[0], "red", "blue")
    assert_shown(second.alpha, frames[0], "blue")


def test_prompts_for_another_chooser_are_refused_until_that_is_loaded(frames: list[Frame]) -> None:
    engine = engine_with()
    with pytest.raises(NotLoaded, match="scene does not understand prompts of the kind mask"):
        engine.prompted(engine.prepare(frames[0]), frames[0], parse_subjects(["mask:a.png"]))


def test_it_is_recurrent_if_either_is_and_measures_what_the_engine_measures(frames: list[Frame]) -> None:
    assert engine_with().recurrent
    assert not Chroma(Options(), SETTINGS).recurrent
    assert engine_with().chooser == RECORD.name
    alone, engine = Chroma(Options(), SETTINGS), engine_with()
    measured = engine.measure(frames[0])
    assert measured
    assert measured == alone.measure(frames[0])
    assert engine.recall(measured).engine.key == alone.recall(measured).key


def test_all_that_wraps_it_passes_the_subjects_on(frames: list[Frame]) -> None:
    device = DeviceThread(WithForeground(ForPictures(engine_with())))
    assert device.chooser == "scene"
    prepared = device.prompted(device.prepare(frames[0]), frames[0], parse_subjects(["red"]))
    (result,) = device.infer([prepared], [None])
    device.close()
    assert_shown(result.alpha, frames[0], "red")


# Through `Matte`.


def matte(engine: object, live: bool, start_s: float = 0.0, *specs: str) -> Matte:
    options = Options.read(engine="chroma", subjects=list(specs), background="color:#ffffff")
    backdrop = open_background(options.background, WIDTH, HEIGHT, SETTINGS)
    core = Matte(options, engine, backdrop, live, start_s=start_s)  # type: ignore[arg-type]
    core.open(VideoInfo(WIDTH, HEIGHT, Fraction(1, RATE), Fraction(RATE)))
    return core


def luma_at(frame: Frame, name: str, time_s: float) -> float:
    """Mean luma where a subject is; 235 for the background."""
    return float(frame.planes()[0][scene.alpha(name, time_s) == 1].mean())


def results_of(core: Matte, frames: Sequence[Frame]) -> list[Frame]:
    out = [done for frame in frames for done in core(frame)] + core.flush()
    core.close()
    return out


@pytest.mark.parametrize("live", [False, True])
def test_a_matte_shows_the_chosen_subject(frames: list[Frame], live: bool) -> None:
    for frame in results_of(matte(engine_with(), live, 0.0, "red"), frames[:4]):
        assert luma_at(frame, "red", frame.time_s) < 130
        assert luma_at(frame, "blue", frame.time_s) > 230


def test_prompts_of_a_part_have_times_of_the_video(frames: list[Frame]) -> None:
    later = [replace(frame, pts=frame.pts - 10) for frame in frames[10:]]
    core = matte(engine_with(Shy(Options(), SETTINGS)), False, 1.0, "red=red@0", "blue=point:0.75,0.5@1.9")
    out = results_of(core, later)
    for frame in out:
        shown = luma_at(frame, "blue", frame.time_s + 1) < 130
        assert shown == (frame.time_s + 1 >= 1.9 - 1e-6)


def test_a_matte_of_a_file_knows_when_a_subject_was_not_found(frames: list[Frame]) -> None:
    core = matte(engine_with(Shy(Options(), SETTINGS)), False, 0.0, "blue=blue")
    results_of(core, frames)
    (found,) = core.unsure
    assert (found.name, round(found.begin_s, 3), round(found.end_s, 3)) == ("blue", 1.0, 1.7)


def test_without_its_chooser_a_live_video_shows_only_the_background_and_a_file_fails(frames: list[Frame]) -> None:
    alone = Chroma(Options(), SETTINGS)
    core = matte(alone, True, 0.0, "not:red")
    (covered,) = results_of(core, frames[:1])
    assert core.covered == 1
    assert covered.planes()[0].min() > 230
    with pytest.raises(EngineError):
        results_of(matte(alone, False, 0.0, "not:red"), frames[:1])


def test_a_chooser_that_fails_shows_only_the_background(frames: list[Frame]) -> None:
    class Failing(Scene):
        def choose(self, questions: Sequence[object], states: Sequence[object]) -> list[object]:  # type: ignore[override]
            raise EngineError("its weights are nonsense")

    core = matte(engine_with(Failing(Options(), SETTINGS)), True, 0.0, "red")
    for frame in results_of(core, frames[:2]):
        assert frame.planes()[0].min() > 230
    assert core.covered == 2


def test_other_prompts_take_effect_at_the_next_frame(frames: list[Frame]) -> None:
    engine = engine_with()
    core = matte(engine, True, 0.0, "red")
    (first,) = core(frames[0])
    core.swap(Options.read(engine="chroma", subjects=["blue"], background="color:#ffffff"), engine)
    (second,) = core(frames[1])
    core.close()
    assert luma_at(first, "red", 0.0) < 130 < 230 < luma_at(first, "blue", 0.0)
    assert luma_at(second, "blue", 0.1) < 130 < 230 < luma_at(second, "red", 0.1)


def live_matte(engine: Engine, *specs: str) -> Matte:
    options = Options.read(background="green", subjects=list(specs))
    core = Matte(options, engine, open_background(options.background, WIDTH, HEIGHT, SETTINGS), live=True)
    core.open(VideoInfo(WIDTH, HEIGHT, Fraction(1, RATE), Fraction(RATE)))
    return core


def test_live_video_has_a_notice_while_a_subject_is_hidden(frames: list[Frame]) -> None:
    core = live_matte(engine_with(Shy(Options(), SETTINGS)), "red=red", "blue=blue")
    notices = [core(frame) and core.notice for frame in frames]
    core.close()
    assert [notice != "" for notice in notices] == [1.5 <= frame.time_s < 1.8 for frame in frames]
    assert set(notices) == {"", "blue is lost: hidden until found again"}


class Counting(Given):
    """The chooser `mask`. Counts the frames of each call, and the calls that fail."""

    def __init__(self) -> None:
        super().__init__(Options(), SETTINGS)
        self.calls: list[int] = []
        self.failed = 0

    def choose(self, questions: Sequence[Question], states: Sequence[GivenMemory | None]) -> list[Choice]:
        self.calls.append(len(questions))
        self.failed += 1
        answers = super().choose(questions, states)
        self.failed -= 1
        return answers


@pytest.mark.parametrize("fault", ["text", "missing", "shape"])
def test_a_mask_that_cannot_be_used_covers_its_own_video_and_not_another(
    frames: list[Frame], tmp_path: Path, fault: str
) -> None:
    whole, broken = tmp_path / "whole.png", tmp_path / "broken.png"
    Image.new("L", (WIDTH, HEIGHT), 255).save(whole)
    if fault == "text":
        broken.write_text("no picture")
    elif fault == "shape":
        Image.new("L", (HEIGHT, WIDTH), 255).save(broken)
    chooser = Counting()
    device = DeviceThread(WithSubjects(Chroma(Options(), SETTINGS), chooser))
    good, bad = live_matte(device, f"mask:{whole}"), live_matte(device, f"mask:{broken}")
    with ThreadPoolExecutor() as pool:
        for frame in frames[:5]:
            for done in [pool.submit(core, frame) for core in (good, bad)]:
                done.result()
    assert (good.covered, bad.covered) == (0, 5)
    assert good.notice == ""
    assert "broken.png" in bad.notice
    assert (chooser.calls, chooser.failed) == ([1] * 5, 0)
    for core in (good, bad):
        core.close()
    device.close()
