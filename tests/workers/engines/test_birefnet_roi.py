"""The region of interest: no part of the subject is outside it for long, and it moves only when necessary."""

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
    """An upright ellipse; centre and sides as shares of the picture."""
    rows, columns = np.ogrid[0 : size[0], 0 : size[1]]
    distance = np.hypot((rows / size[0] - y) / (tall / 2), (columns / size[1] - x) / (wide / 2))
    return np.asarray(np.clip((1.05 - distance) * 20, 0, 1), np.float32)


def inside(box: Box, alpha: Alpha) -> Alpha:
    out = np.zeros_like(alpha)
    out[box.slices] = alpha[box.slices]
    return out


def tracked(alphas: Iterable[Alpha]) -> list[tuple[Box, Alpha, int]]:
    """Track as an engine does, with a network that knows the truth: the box, the alpha and the pixels processed, per
    frame."""
    track: Track | None = None
    out = []
    for alpha in alphas:
        size = (alpha.shape[0], alpha.shape[1])
        box = birefnet_roi.next_box(track, size)
        processed, pixels = box, box.area
        if birefnet_roi.lost(box, alpha[box.slices], size):
            processed, pixels = birefnet_roi.whole(size), pixels + alpha.size
        track = birefnet_roi.follow(track, processed, inside(processed, alpha))
        out.append((box, inside(processed, alpha), pixels))
    return out


def walk(frames: int, speed: float = 0.005) -> list[Alpha]:
    """speed: shares of the picture's width per frame."""
    xs = 0.5 + 0.35 * np.sin(np.arange(frames) * speed / 0.35)
    return [person(x) for x in xs]


@pytest.mark.long
@pytest.mark.parametrize("speed", [0.002, 0.01, 0.03, 0.1])
def test_a_walking_subject_is_never_cropped(speed: float) -> None:
    alphas = walk(90, speed)
    for (_, found, _), alpha in zip(tracked(alphas), alphas, strict=True):
        np.testing.assert_array_equal(found, alpha)


@pytest.mark.long
def test_fewer_pixels_are_processed() -> None:
    share = np.mean([pixels for *_, pixels in tracked(walk(150))]) / (SIZE[0] * SIZE[1])
    assert share < 0.6


@pytest.mark.long
def test_someone_who_enters_elsewhere_is_found_in_time() -> None:
    entered = 40
    alphas = [np.maximum(person(0.2), person(0.9, tall=0.3)) if n >= entered else person(0.2) for n in range(80)]
    found = [bool((seen == alpha).all()) for (_, seen, _), alpha in zip(tracked(alphas), alphas, strict=True)]
    assert all(found[:entered])
    assert not found[entered]  # otherwise the clip tests nothing
    assert all(found[entered + birefnet_roi.WHOLE_EVERY :])


def test_the_whole_picture_is_processed_first_and_periodically() -> None:
    passes = [n for n, (box, *_) in enumerate(tracked([person(0.3)] * 61)) if box == birefnet_roi.whole(SIZE)]
    assert passes == [0, 15, 30, 45, 60]


@pytest.mark.long
def test_the_box_stays_when_the_subject_jitters() -> None:
    rng = np.random.default_rng(4)
    alphas = [
        person(0.4 + rng.normal(0, 0.004), tall=0.5 + rng.normal(0, 0.01), wide=0.2 + rng.normal(0, 0.006))
        for _ in range(120)
    ]
    boxes = {box for box, *_ in tracked(alphas)} - {birefnet_roi.whole(SIZE)}
    assert len(boxes) == 1


def test_it_grows_at_once_and_shrinks_late() -> None:
    small, large = person(0.5, tall=0.3, wide=0.1), person(0.5, tall=0.5, wide=0.4)
    seen = tracked([small] * 5 + [large] * 5 + [small] * 60)
    areas = [box.area for box, *_ in seen]
    assert areas[6] > areas[4]
    assert areas[11] == areas[6]
    assert areas[34] == areas[6]
    assert areas[-1] == areas[4]
    np.testing.assert_array_equal(seen[5][1], large)


def test_an_empty_picture_is_processed_whole() -> None:
    nobody = np.zeros(SIZE, np.float32)
    seen = tracked([person(0.3)] * 4 + [nobody] * 4 + [person(0.9)] * 3)
    assert [box == birefnet_roi.whole(SIZE) for box, *_ in seen] == [True] + 4 * [False] + 4 * [True] + 2 * [False]
    np.testing.assert_array_equal(seen[8][1], person(0.9))


def test_a_new_size_starts_over() -> None:
    track = birefnet_roi.follow(None, birefnet_roi.whole(SIZE), person(0.3))
    assert birefnet_roi.next_box(track, SIZE) != birefnet_roi.whole(SIZE)
    assert birefnet_roi.next_box(track, (1024, 576)) == birefnet_roi.whole((1024, 576))
    turned = birefnet_roi.follow(track, birefnet_roi.whole((1024, 576)), person(0.3, size=(1024, 576)))
    assert turned.size == (1024, 576)
    assert turned.age == 1


@pytest.mark.long
@given(
    st.integers(1, 64),
    st.integers(1, 64),
    st.lists(st.tuples(*[st.floats(0.0, 1.0)] * 2, *[st.floats(0.05, 1.2)] * 2), min_size=1, max_size=8),
)
def test_boxes_fit_the_network_and_the_picture(rows: int, columns: int, positions: list[tuple[float, ...]]) -> None:
    size = (32 * rows, 32 * columns)
    track: Track | None = None
    for x, y, tall, wide in positions:
        box = birefnet_roi.next_box(track, size)
        assert 0 <= box.top < box.bottom <= size[0]
        assert 0 <= box.left < box.right <= size[1]
        assert all(side % 32 == 0 for side in (*box.shape, box.top, box.left))
        alpha = np.zeros(size, np.float32)
        height, width = size
        alpha[int(y * height) : int((y + tall) * height), int(x * width) : int((x + wide) * width)] = 1
        track = birefnet_roi.follow(track, birefnet_roi.whole(size), alpha)
        seen = birefnet_roi.bounds(alpha)
        assert (track.box is None) == (seen is None)
        assert track.box is None or seen is None or track.box.contains(seen)


@pytest.mark.long
def test_boxes_have_few_sizes() -> None:
    shapes = set()
    for n in range(200):
        rng = np.random.default_rng(n)
        track = birefnet_roi.follow(
            None, birefnet_roi.whole(SIZE), person(*rng.random(2), *(0.05 + 0.9 * rng.random(2)))
        )
        shapes.add(birefnet_roi.next_box(track, SIZE).shape)
    assert 4 < len(shapes) <= 16
