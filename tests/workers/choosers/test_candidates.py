"""From regions to records: order, numbers, boxes, outlines and times."""

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from stream.records.candidates import Candidate
from stream.records.subjects import Prompt, parse_subjects
from workers.choosers import candidates
from workers.choosers.automatic_masks import Mask
from workers.choosers.base import Region

WIDTH, HEIGHT = 200, 100


def region(mask: Mask, spec: str = "point:0.5,0.5", score: float = 0.9) -> Region:
    return Region(mask, score, Prompt.model_validate(spec))


def block(left: int, top: int, right: int, bottom: int) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def ring() -> Mask:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    distance = np.hypot(columns - 100, rows - 50)
    return np.asarray((distance < 40) & (distance > 20))


def drawn_again(candidate: Candidate) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    lines = [np.rint(np.array(line) * (WIDTH, HEIGHT) - 0.5).astype(np.int32) for line in candidate.outlines]
    cv2.fillPoly(mask, lines, 1)
    return mask.view(np.bool_)


def test_candidates_are_numbered_from_the_largest() -> None:
    small, large = region(block(10, 10, 20, 20), "box:0.05,0.1,0.05,0.1"), region(block(50, 20, 150, 80))
    first, second = candidates.records([small, large], 0.0)
    assert (first.number, first.subject, first.area) == (1, "point:0.5,0.5", 0.3)
    assert first.box == (0.25, 0.2, 0.5, 0.6)
    assert (second.number, second.subject, second.area) == (2, "box:0.05,0.1,0.05,0.1", 0.005)


@pytest.mark.parametrize(
    ("at_s", "spec", "expected"),
    [
        (0.0, "point:0.5,0.5", "point:0.5,0.5"),
        (12.5, "point:0.5,0.5", "point:0.5,0.5@12.5"),
        (1 / 3, "box:0.1,0.1,0.2,0.2", "box:0.1,0.1,0.2,0.2@0.333"),
        (12.5, "class:person", "class:person"),
    ],
)
def test_prompts_have_the_time_of_their_frame_rounded_down(at_s: float, spec: str, expected: str) -> None:
    (found,) = candidates.records([region(block(0, 0, 50, 50), spec)], at_s)
    assert found.subject == expected
    (subject,) = parse_subjects([found.subject])
    assert subject.prompts[0].at_s <= at_s


def test_outlines_describe_the_mask_with_its_parts_and_holes() -> None:
    mask = ring() | block(5, 5, 25, 25)
    (found,) = candidates.records([region(mask)], 0.0)
    assert len(found.outlines) == 3
    different = np.count_nonzero(drawn_again(found) ^ mask)
    assert different < 0.06 * np.count_nonzero(mask)
    assert sum(map(len, found.outlines)) < 120


def test_records_are_json_and_back() -> None:
    (found,) = candidates.records([region(ring())], 2.0)
    assert Candidate.model_validate_json(found.model_dump_json()) == found


def test_nothing_found_is_an_empty_list() -> None:
    assert candidates.records([], 0.0) == []
