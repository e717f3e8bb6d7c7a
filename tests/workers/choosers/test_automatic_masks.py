"""The steps of the automatic mask generator, on hand-made masks, and against transformers' own functions."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from workers.choosers import automatic_masks
from workers.choosers.automatic_masks import Mask


def mask(*rows: str) -> Mask:
    return np.array([[place == "#" for place in row] for row in rows])


def soft_discs(seed: int, count: int = 12) -> Any:
    """Logits (N, 40, 60): discs with borders of random softness; the steeper, the more stable."""
    generator = torch.Generator().manual_seed(seed)
    x, y, radius, slope = torch.rand(4, count, generator=generator)
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(60), indexing="ij")
    distance = ((columns - 60 * x[:, None, None]) ** 2 + (rows - 40 * y[:, None, None]) ** 2).sqrt()
    return (3 + 12 * radius[:, None, None] - distance) * (0.2 + 3 * slope[:, None, None])


def test_the_grid_has_the_centres_of_equal_cells() -> None:
    expected = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    assert automatic_masks.grid(2).tolist() == expected
    assert automatic_masks.grid(32).shape == (1024, 2)


def test_stability_is_the_overlap_of_the_mask_at_two_thresholds() -> None:
    steep = torch.tensor([[-9.0, 9.0, 9.0, -9.0]])
    soft = torch.tensor([[-0.5, 0.5, 5.0, -5.0]])  # at 1 one pixel, at -1 three
    empty = torch.full((1, 4), -9.0)
    found = automatic_masks.stability(torch.stack([steep, soft, empty]), 1.0)
    assert found.tolist() == pytest.approx([1.0, 1 / 3, 0.0])


def test_boxes_enclose_their_masks() -> None:
    drawn = mask("......", "..##..", ".##...", "......")
    masks = torch.from_numpy(np.stack([drawn, np.zeros_like(drawn), np.ones_like(drawn)]))
    assert automatic_masks.boxes(masks).tolist() == [[1, 1, 4, 3], [0, 0, 0, 0], [0, 0, 6, 4]]
    assert automatic_masks.boxes(masks[:0]).shape == (0, 4)


def test_overlaps_of_boxes_are_their_intersections_over_their_unions() -> None:
    one = torch.tensor([[0, 0, 4, 4]])
    others = torch.tensor([[0, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4], [1, 1, 3, 3], [0, 0, 0, 0]])
    assert automatic_masks.overlaps(one, others)[0].tolist() == pytest.approx([1.0, 8 / 24, 0.0, 4 / 16, 0.0])


def test_of_boxes_that_overlap_the_best_remains() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10], [0, 0, 10, 9]])
    assert automatic_masks.distinct(boxes, torch.tensor([0.9, 0.95, 0.5, 0.8]), 0.7) == [1, 2]
    assert automatic_masks.distinct(boxes, torch.tensor([0.9, 0.9, 0.5, 0.8]), 0.7) == [0, 2]
    assert automatic_masks.distinct(boxes, torch.tensor([0.9, 0.95, 0.5, 0.8]), 0.95) == [1, 0, 3, 2]
    assert automatic_masks.distinct(boxes[:0], torch.tensor([]), 0.7) == []


def test_a_box_that_was_removed_removes_no_other() -> None:
    """A chain: the first overlaps the second, the second overlaps the third, which therefore stays."""
    boxes = torch.tensor([[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]])
    assert automatic_masks.distinct(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5) == [0, 2]


def test_the_overlap_of_masks() -> None:
    one, other = mask("##..", "##.."), mask(".##.", ".##.")
    assert automatic_masks.mask_overlap(one, other) == pytest.approx(2 / 6)
    assert automatic_masks.mask_overlap(one, one) == 1.0
    assert automatic_masks.mask_overlap(one & ~one, one & ~one) == 0.0


def test_small_holes_are_filled_and_small_parts_removed() -> None:
    drawn = mask(
        "#####....",
        "#.###..#.",
        "#####....",
        "###......",
    )
    expected = mask(
        "#####....",
        "#####....",
        "#####....",
        "###......",
    )
    np.testing.assert_array_equal(automatic_masks.without_small_parts(drawn, 2), expected)
    np.testing.assert_array_equal(automatic_masks.without_small_parts(drawn, 1), drawn)


def test_the_largest_part_is_kept_whatever_its_size() -> None:
    drawn = mask("##..#", "....#", "....#")
    np.testing.assert_array_equal(automatic_masks.without_small_parts(drawn, 100)[:, 4], [True] * 3)


def test_the_inner_point_is_farthest_from_the_border() -> None:
    drawn = np.zeros((20, 40), np.bool_)
    drawn[2:17, 3:18] = True
    drawn[9, 18:39] = True  # a thin arm does not move it
    x, y = automatic_masks.inner_point(drawn)
    assert (x * 40, y * 20) == pytest.approx((10.5, 9.5), abs=0.51)


def test_the_inner_point_of_a_ring_is_on_the_ring() -> None:
    rows, columns = np.mgrid[0:60, 0:60]
    distance = np.hypot(columns - 30, rows - 30)
    ring = (distance < 25) & (distance > 15)
    x, y = automatic_masks.inner_point(ring)
    assert ring[int(y * 60), int(x * 60)]
    assert np.hypot(x * 60 - 30.5, y * 60 - 30.5) == pytest.approx(20, abs=2)


@pytest.mark.parametrize(
    ("size", "expected"), [((1920, 1080), (576, 1024)), ((640, 480), (480, 640)), ((8192, 2), (1, 1024))]
)
def test_masks_have_at_most_1024_pixels_on_the_longer_side(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert automatic_masks.size_for(*size) == expected


@pytest.mark.parametrize("seed", range(5))
def test_the_steps_are_those_of_the_library(seed: int) -> None:
    """Of its processor for SAM, the one that does not need torchvision. Its boxes end at the last pixel inside."""
    pytest.importorskip("transformers")
    from transformers.models.sam import image_processing_pil_sam as library

    logits = soft_discs(seed)
    for offset in (0.5, 1.0):
        ours, theirs = automatic_masks.stability(logits, offset), library._compute_stability_score(logits, 0.0, offset)
        defined = (logits > -offset).any(-1).any(-1)
        torch.testing.assert_close(ours[defined], theirs[defined], rtol=0, atol=1e-5)
    masks = logits > 0
    filled = masks[masks.any(-1).any(-1)]
    torch.testing.assert_close(
        automatic_masks.boxes(filled) - torch.tensor([0, 0, 1, 1]), library._batched_mask_to_box(filled)
    )
    side = 3 + seed * 7
    np.testing.assert_allclose(automatic_masks.grid(side), library._build_point_grid(side), rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_what_remains_is_as_defined(seed: int) -> None:
    """Each box that remains overlaps no better one that remains, and each other box does."""
    boxes = automatic_masks.boxes(soft_discs(seed, 60) > 0)
    scores = torch.rand(60, generator=torch.Generator().manual_seed(seed))
    remaining = automatic_masks.distinct(boxes, scores, 0.4)
    same = automatic_masks.overlaps(boxes, boxes) > 0.4
    for index in range(60):
        better = [other for other in remaining if scores[other] > scores[index] and same[index, other]]
        assert (index in remaining) == (not better)
    assert [float(scores[index]) for index in remaining] == sorted(scores[remaining].tolist(), reverse=True)
    assert 3 < len(remaining) < 60
