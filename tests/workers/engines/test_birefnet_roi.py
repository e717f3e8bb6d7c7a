"""The box: nothing of the subject is ever outside of it for long, and it stays where it is when it can."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.picture.frames import Alpha
from workers.engines import birefnet_roi
from workers.engines.birefnet_roi import Box, Track

SIZE = (576, 1024)


def person(x: float, y: float = 0.6, tall: float = 0.5, wide: float = 0.2, size: birefnet_roi.Size = SIZE) -> Alpha:
    """An upright ellipse; places and sides as shares of the picture."""
    rows, columns = np.ogrid[0 : size[0], 0 : size[1]]
    away = np.hypot((rows / size[0] - y) / (tall / 2), (columns / size[1] - x) / (wide / 2))
    return np.asarray(np.clip((1.05 - away) * 20, 0, 1), np.float32)


def seen_in(box: Box, alpha: Alpha) -> Alpha:
    out = np.zeros_like(alpha)
    out[box.cut] = alpha[box.cut]
    return out


def watch(alphas: Iterable[Alpha]) -> list[tuple[Box, Alpha, int]]:
    """As an engine does it, with a network that knows the truth: the box held, what was found, pixels looked at."""
    track: Track | None = None
    out = []
    for alpha in alphas:
        size = (alpha.shape[0], alpha.shape[1])
        box = birefnet_roi.where(track, size)
        looked, pixels = box, box.area
        if birefnet_roi.lost(box, alpha[box.cut], size):
            looked, pixels = birefnet_roi.whole(size), pixels + alpha.size
        track = birefnet_roi.follow(track, looked, seen_in(looked, alpha))
        out.append((box, seen_in(looked, alpha), pixels))
    return out


def walk(frames: int, a_frame: float = 0.005) -> list[Alpha]:
    xs = 0.5 + 0.35 * np.sin(np.arange(frames) * a_frame / 0.35)
    return [person(x) for x in xs]


@pytest.mark.parametrize("a_frame", [0.002, 0.01, 0.03, 0.1])
def test_a_walking_subject_is_never_cut(a_frame: float) -> None:
    alphas = walk(90, a_frame)
    for (_, found, _), alpha in zip(watch(alphas), alphas, strict=True):
        np.testing.assert_array_equal(found, alpha)


def test_it_saves_work() -> None:
    share = np.mean([pixels for *_, pixels in watch(walk(150))]) / (SIZE[0] * SIZE[1])
    assert share < 0.6


def test_who_comes_in_elsewhere_is_found_in_time() -> None:
    came = 40
    alphas = [np.maximum(person(0.2), person(0.9, tall=0.3)) if n >= came else person(0.2) for n in range(80)]
    found = [bool((seen == alpha).all()) for (_, seen, _), alpha in zip(watch(alphas), alphas, strict=True)]
    assert all(found[:came])
    assert not found[came]  # or the clip shows nothing
    assert all(found[came + birefnet_roi.EVERY :])


def test_all_is_looked_at_on_the_first_frame_and_every_so_often() -> None:
    looks = [n for n, (box, *_) in enumerate(watch([person(0.3)] * 61)) if box == birefnet_roi.whole(SIZE)]
    assert looks == [0, 15, 30, 45, 60]


def test_the_box_stays_when_the_subject_jitters() -> None:
    rng = np.random.default_rng(4)
    alphas = [
        person(0.4 + rng.normal(0, 0.004), tall=0.5 + rng.normal(0, 0.01), wide=0.2 + rng.normal(0, 0.006))
        for _ in range(120)
    ]
    boxes = {box for box, *_ in watch(alphas)} - {birefnet_roi.whole(SIZE)}
    assert len(boxes) == 1


def test_it_grows_at_once_and_shrinks_late() -> None:
    small, large = person(0.5, tall=0.3, wide=0.1), person(0.5, tall=0.5, wide=0.4)
    seen = watch([small] * 5 + [large] * 5 + [small] * 60)
    areas = [box.area for box, *_ in seen]
    assert areas[6] > areas[4]
    assert areas[11] == areas[6]
    assert areas[34] == areas[6]
    assert areas[-1] == areas[4]
    np.testing.assert_array_equal(seen[5][1], large)


def test_an_empty_picture_is_looked_at_in_full() -> None:
    nobody = np.zeros(SIZE, np.float32)
    seen = watch([person(0.3)] * 4 + [nobody] * 4 + [person(0.9)] * 3)
    assert [box == birefnet_roi.whole(SIZE) for box, *_ in seen] == [True] + 4 * [False] + 4 * [True] + 2 * [False]
    np.testing.assert_array_equal(seen[8][1], person(0.9))


def test_a_new_size_starts_anew() -> None:
    track = birefnet_roi.follow(None, birefnet_roi.whole(SIZE), person(0.3))
    assert birefnet_roi.where(track, SIZE) != birefnet_roi.whole(SIZE)
    assert birefnet_roi.where(track, (1024, 576)) == birefnet_roi.whole((1024, 576))
    turned = birefnet_roi.follow(track, birefnet_roi.whole((1024, 576)), person(0.3, size=(1024, 576)))
    assert turned.size == (1024, 576)
    assert turned.age == 1


@given(
    st.integers(1, 64),
    st.integers(1, 64),
    st.lists(st.tuples(*[st.floats(0.0, 1.0)] * 2, *[st.floats(0.05, 1.2)] * 2), min_size=1, max_size=8),
)
def test_boxes_fit_the_network_and_the_picture(rows: int, columns: int, places: list[tuple[float, ...]]) -> None:
    size = (32 * rows, 32 * columns)
    track: Track | None = None
    for x, y, tall, wide in places:
        box = birefnet_roi.where(track, size)
        assert 0 <= box.top < box.bottom <= size[0]
        assert 0 <= box.left < box.right <= size[1]
        assert all(side % 32 == 0 for side in (*box.shape, box.top, box.left))
        alpha = np.zeros(size, np.float32)
        height, width = size
        alpha[int(y * height) : int((y + tall) * height), int(x * width) : int((x + wide) * width)] = 1
        track = birefnet_roi.follow(track, birefnet_roi.whole(size), alpha)
        seen = birefnet_roi.bounds(alpha)
        assert (track.box is None) == (seen is None)
        assert track.box is None or seen is None or track.box.holds(seen)


def test_sides_are_few() -> None:
    shapes = set()
    for n in range(200):
        rng = np.random.default_rng(n)
        track = birefnet_roi.follow(
            None, birefnet_roi.whole(SIZE), person(*rng.random(2), *(0.05 + 0.9 * rng.random(2)))
        )
        shapes.add(birefnet_roi.where(track, SIZE).shape)
    assert 4 < len(shapes) <= 16
