"""Temporal smoothing: it leaves correct mattes alone, accepts new content, and keeps frame and alpha together."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream.picture.frames import Frame
from stream.records.options import Temporal
from tests.workers.smoothing_clips import HEIGHT, WIDTH, Clip, clip, ratios, scores, steadied
from workers.edges.shape import full_size
from workers.steady import smooth
from workers.steady.smooth import MattedFrame
from workers.steady.tuning import choose

MODES = ["live", "live+1", "offline"]
ENGINES = ["selfie", "rvm", "birefnet"]


@pytest.fixture(scope="module")
def still() -> Clip:
    return clip(lambda n: [320.0], 24)


def flat(alpha: float, count: int, frame: Frame) -> Clip:
    raw = np.full((144, 256), alpha, np.float32)
    return Clip([replace(frame, pts=n) for n in range(count)], [], [raw] * count)


def test_off_and_zero_strength_give_no_tuning() -> None:
    for engine in ENGINES:
        assert choose(Temporal.OFF, 1.0, engine, live=True) is None
        assert choose(Temporal.OFFLINE, 0.0, engine, live=False) is None


def test_auto_looks_ahead_only_in_files_and_does_not_smooth_chroma() -> None:
    for engine in ENGINES:
        live, file = (choose(Temporal.AUTO, 0.7, engine, live) for live in (True, False))
        assert live is not None
        assert file is not None
        assert live.look_ahead == 0 < file.look_ahead
    assert choose(Temporal.AUTO, 0.7, "chroma", live=True) is None


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_frame_is_returned_once_in_order_with_values_in_range(still: Clip, mode: str, engine: str) -> None:
    out = steadied(still, mode, engine)
    assert [id(one.frame) for one in out] == [id(frame) for frame in still.frames]
    for one in out:
        assert one.alpha.dtype == np.float32
        assert one.alpha.shape == (144, 256)
        assert 0.0 <= one.alpha.min() <= one.alpha.max() <= 1.0


@pytest.mark.long
@settings(max_examples=15)
@given(
    pixels=arrays.arrays(np.uint8, (3, 36, 32)),
    alphas=arrays.arrays(np.float32, (3, 12, 16), elements=st.floats(0, 1, width=32)),
    mode=st.sampled_from(MODES),
    engine=st.sampled_from(ENGINES),
    strength=st.floats(0.01, 1),
)
def test_any_input_gives_a_valid_alpha(
    pixels: np.ndarray, alphas: np.ndarray, mode: str, engine: str, strength: float
) -> None:
    frames = [Frame(picture, n, Fraction(1, 30)) for n, picture in enumerate(pixels)]
    out = steadied(Clip(frames, [], list(alphas)), mode, engine, strength)
    assert [one.frame.pts for one in out] == [0, 1, 2]
    for one in out:
        assert one.alpha.shape == (12, 16)
        assert 0.0 <= one.alpha.min() <= one.alpha.max() <= 1.0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("engine", "alpha"), [("selfie", 0), ("selfie", 1), ("rvm", 0), ("rvm", 1), ("birefnet", 0.0)])
def test_a_constant_alpha_is_unchanged(still: Clip, mode: str, engine: str, alpha: float) -> None:
    for one in steadied(flat(alpha, 16, still.frames[0]), mode, engine):
        np.testing.assert_allclose(one.alpha, alpha, atol=1e-5)


def test_large_mattes_keep_their_detail() -> None:
    """The grid's change is added to the full alpha, which is not replaced."""
    rng = np.random.default_rng(2)
    alpha = rng.uniform(0.2, 0.8, (HEIGHT, WIDTH)).astype(np.float32)
    scene = clip(lambda n: [320.0], 6)
    out = steadied(replace(scene, raw=[alpha] * 6), "live", "birefnet")
    np.testing.assert_allclose(out[-1].alpha, alpha, atol=0.02)


def enlarged(scene: Clip, times: int) -> Clip:
    """The same pictures and truths, larger; the engine's mattes stay small."""
    frames = []
    for frame in scene.frames:
        y, u, v = (np.repeat(np.repeat(plane, times, 0), times, 1) for plane in frame.planes())
        chroma = [plane.reshape(-1, WIDTH * times) for plane in (u, v)]
        frames.append(replace(frame, pixels=np.concatenate([y, *chroma])))
    true = [np.repeat(np.repeat(plane, times, 0), times, 1) for plane in scene.true]
    return Clip(frames, true, scene.raw)


@pytest.mark.long
def test_small_mattes_of_large_pictures_become_finer_and_more_accurate_in_files() -> None:
    small = clip(lambda n: [250.0 + 6 * n], 12)
    large = enlarged(small, 2)
    out = steadied(large, "offline")
    assert {one.alpha.shape for one in steadied(small, "offline")} == {(144, 256)}
    assert {one.alpha.shape for one in out} == {(288, 512)}
    area = [cv2.resize(one.alpha, (256, 144), interpolation=cv2.INTER_AREA) for one in out]
    fine_mad, coarse_mad = (
        scores(
            [full_size(np.asarray(a, np.float32), f) for a, f in zip(alphas, large.frames, strict=True)], large.true
        )[0]
        for alphas in ([one.alpha for one in out], area)
    )
    assert fine_mad < 0.95 * coarse_mad


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_the_border_of_a_still_subject_stops_flickering(still: Clip, mode: str) -> None:
    mad, dtssd = ratios(still, mode)
    assert dtssd <= 0.3
    assert mad < 1.0


@functools.cache
def crossing(step_px: int) -> Clip:
    return clip(lambda n: [float(n * step_px - 40)], min(30, 720 // step_px))


@functools.cache
def two_people() -> Clip:
    return clip(lambda n: [150.0 + 3 * n, 500.0 - 3 * n], 24)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step_px", [12, 40])
def test_a_subject_that_crosses_is_not_trailed(mode: str, step_px: int) -> None:
    mad, dtssd = ratios(crossing(step_px), mode)
    assert mad <= 1.0
    assert dtssd <= 1.0


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_two_people_are_both_kept(mode: str) -> None:
    mad, dtssd = ratios(two_people(), mode)
    assert mad <= 1.0
    assert dtssd <= 0.75
    for one, true in zip(steadied(two_people(), mode), two_people().true, strict=True):
        subject = cv2.resize(one.alpha, (WIDTH, HEIGHT)) > 0.5
        assert (subject[true == 255]).mean() > 0.97


@pytest.mark.long
def test_live_the_first_matte_after_a_cut_is_unchanged() -> None:
    scene = clip(lambda n: [200.0], 12) + clip(lambda n: [460.0], 12, room=2)
    out = steadied(scene, "live")
    np.testing.assert_array_equal(out[12].alpha, scene.raw[12])
    assert not np.array_equal(out[13].alpha, scene.raw[13])


@pytest.mark.long
@pytest.mark.parametrize("mode", ["live+1", "offline"])
def test_looking_ahead_ends_at_a_cut(mode: str) -> None:
    """Frames before a cut are the same whatever follows it."""
    before = clip(lambda n: [200.0], 16)
    alone, followed = (steadied(s, mode) for s in (before, before + clip(lambda n: [460.0], 9, room=2)))
    for one, other in zip(alone, followed[:16], strict=True):
        np.testing.assert_array_equal(one.alpha, other.alpha)


def interrupted(scene: Clip) -> Iterator[tuple[str, Clip]]:
    late = [replace(frame, pts=frame.pts + 30 * (frame.pts >= 12)) for frame in scene.frames]
    yield "a pause", replace(scene, frames=late)
    back = [replace(frame, pts=frame.pts - 12 * (frame.pts >= 12)) for frame in scene.frames]
    yield "a step back", replace(scene, frames=back)
    cropped = [replace(f, pixels=f.pixels if f.pts < 12 else f.pixels[:, : WIDTH // 2].copy()) for f in scene.frames]
    yield "a new size", replace(scene, frames=cropped)


@pytest.mark.long
def test_a_pause_a_step_back_and_a_new_size_start_over(still: Clip) -> None:
    for interruption, scene in interrupted(still):
        out = steadied(scene, "live")
        assert np.array_equal(out[12].alpha, scene.raw[12]), interruption
        assert not np.array_equal(out[11].alpha, scene.raw[11]), interruption


@pytest.mark.long
def test_new_content_is_accepted_at_once() -> None:
    """Such as a hand that comes into view."""
    scene = clip(lambda n: [160.0] if n < 12 else [160.0, 480.0], 14, edge=0.0)
    out = steadied(scene, "live")
    true = cv2.resize(scene.true[12], (256, 144), interpolation=cv2.INTER_AREA) == 255
    assert out[12].alpha[true].mean() > 0.9


def test_a_lasting_change_of_alpha_is_accepted_by_the_second_frame(still: Clip) -> None:
    empty = np.zeros((144, 256), np.float32)
    late = replace(still, raw=[empty] * 10 + still.raw[10:])
    true = cv2.resize(still.true[0], (256, 144), interpolation=cv2.INTER_AREA) == 255
    assert steadied(late, "live")[11].alpha[true].mean() > 0.9


@pytest.mark.long
@pytest.mark.parametrize("mode", ["live+1", "offline"])
def test_a_single_pop_and_a_single_hole_are_removed(still: Clip, mode: str) -> None:
    popped = [raw.copy() for raw in still.raw]
    popped[10][20:50, 5:40] = 1.0
    popped[14][110:130, 110:140] = 0.0
    out = steadied(replace(still, raw=popped), mode)
    assert out[10].alpha[20:50, 5:40].max() < 0.05
    assert out[14].alpha[112:128, 112:138].min() > 0.95


@pytest.mark.long
def test_a_state_remains_usable_after_a_flush(still: Clip) -> None:
    tuning = choose(Temporal.OFFLINE, 0.7, "selfie", live=False)
    assert tuning is not None
    state: smooth.SmoothState | None = None
    done: list[MattedFrame] = []
    for n, (frame, raw) in enumerate(zip(still.frames, still.raw, strict=True)):
        state, more = smooth.step(state, MattedFrame(frame, raw), tuning)
        done += more
        if n == 7:
            state, more = smooth.flush(state, tuning)
            done += more
    assert state is not None
    done += smooth.flush(state, tuning)[1]
    assert [one.frame.pts for one in done] == list(range(24))


def test_the_mode_may_change_while_live(still: Clip) -> None:
    modes = [Temporal.LIVE] * 6 + [Temporal.OFFLINE] * 8 + [Temporal.LIVE_1] * 4 + [Temporal.LIVE] * 6
    state: smooth.SmoothState | None = None
    done: list[MattedFrame] = []
    for frame, raw, mode in zip(still.frames, still.raw, modes, strict=True):
        tuning = choose(mode, 0.7, "selfie", live=True)
        assert tuning is not None
        state, more = smooth.step(state, MattedFrame(frame, raw), tuning)
        done += more
    assert [one.frame.pts for one in done] == list(range(24))


@pytest.mark.long
def test_files_are_finished_in_bursts_and_live_video_frame_by_frame(still: Clip) -> None:
    file, live = (choose(Temporal.OFFLINE, 0.7, "selfie", one) for one in (False, True))
    assert file is not None
    assert live is not None
    assert file.burst > live.burst == 1
    counts = []
    for tuning in (replace(file, look_ahead=9, burst=4), replace(live, look_ahead=9)):
        state: smooth.SmoothState | None = None
        finished: list[int] = []
        for frame, raw in zip(still.frames, still.raw, strict=True):
            state, done = smooth.step(state, MattedFrame(frame, raw), tuning)
            finished.append(len(done))
        counts.append(finished)
    assert counts == [[0] * 9 + [4, 0, 0, 0] * 3 + [4, 0, 0], [0] * 9 + [1] * 15]


@pytest.mark.long
def test_frames_finished_in_bursts_match_those_finished_one_by_one(still: Clip) -> None:
    """Except for the effect of frames far ahead."""
    tuning = choose(Temporal.OFFLINE, 0.7, "selfie", live=False)
    assert tuning is not None
    results = []
    for burst in (1, 5):
        state: smooth.SmoothState | None = None
        done: list[MattedFrame] = []
        for frame, raw in zip(still.frames, still.raw, strict=True):
            state, more = smooth.step(state, MattedFrame(frame, raw), replace(tuning, look_ahead=12, burst=burst))
            done += more
        results.append(done[:10])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one.alpha, other.alpha, atol=0.1)


def test_speed_does_not_depend_on_where_its_input_is_stored() -> None:
    motion = np.random.default_rng(5).normal(0, 3, (144, 256, 2)).astype(np.float32)
    held: list[object] = []  # so that every round gets other addresses
    for n in range(40):
        held += [np.empty(137 * n + 1, np.uint8), smooth.speed(motion)]
    assert len({one.tobytes() for one in held[1::2] if isinstance(one, np.ndarray)}) == 1
