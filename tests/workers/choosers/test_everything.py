"""Candidates from networks of SAM's family: of a drawn model that knows the picture, and of tiny real ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from stream.records.choosers import CHOOSERS, listing
from stream.records.options import Options
from stream.records.subjects import Prompt, Subject
from stream.registry import find
from stream.settings import Settings
from tests.workers.choosers import tiny_models
from tests.workers.choosers.drawn_things import INPUT, PART, SIDE, THINGS, DrawnModel, mask
from workers.choosers import automatic_masks, everything, network_input
from workers.choosers.automatic_masks import Thresholds, mask_overlap
from workers.choosers.base import Question, Region, Search
from workers.choosers.everything import Decoder
from workers.choosers.tracking import Tracker
from workers.weights.imagenet import DEVIATION, MEAN

FOLDERS: dict[str, Callable[[Path], Path]] = {"sam2": tiny_models.sam2, "edgetam": tiny_models.edge_tam}
POINT = Prompt(kind="point", place=(0.2, 0.5))
LAX = Thresholds(overlap=0.3, stability=0.2, offset=0.02, whole=0.99)
"""For networks with random weights."""


USUAL = Search(16)


def found(model: DrawnModel, search: Search = USUAL, size: tuple[int, int] = (SIDE, SIDE)) -> list[Region]:
    decoder = Decoder(model, torch.zeros(1, 3, INPUT, INPUT), size)
    return everything.regions(decoder, search, Thresholds())


def boxes(regions: list[Region]) -> list[tuple[int, ...]]:
    """(left, top, right, bottom) of each mask."""
    places = [np.nonzero(region.mask) for region in regions]
    return [(int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1) for y, x in places]


@pytest.fixture(scope="module")
def usual() -> list[Region]:
    return found(DrawnModel())


@pytest.mark.long
def test_each_thing_and_part_is_found_once_the_largest_first(usual: list[Region]) -> None:
    assert boxes(usual) == [THINGS["right"], THINGS["left"], PART, THINGS["small"]]
    assert [region.score for region in usual] == pytest.approx([0.95, 0.95, 0.94, 0.95], abs=0.011)
    np.testing.assert_array_equal(usual[1].mask, mask(THINGS["left"]).numpy())


def test_prompts_are_points_that_find_the_thing_again_else_boxes(usual: list[Region]) -> None:
    """With the point in the middle of the part, the model finds the whole thing: the part needs its box."""
    right, left, part, small = (region.prompt for region in usual)
    assert (right.kind, left.kind, small.kind) == ("point", "point", "point")
    assert left.place == pytest.approx((14 / SIDE, 24 / SIDE), abs=0.5 / SIDE + 0.16)
    assert part.kind == "box"
    assert part.place == pytest.approx((38 / 64, 24 / 64, 16 / 64, 12 / 64), abs=0.001)


def test_a_point_beside_the_middle_is_used_if_the_middle_finds_a_part() -> None:
    regions = found(DrawnModel(part_first=True))
    whole = next(region for region, box in zip(regions, boxes(regions), strict=True) if box == THINGS["right"])
    assert whole.prompt.kind == "point"
    x, y = (number * SIDE for number in whole.prompt.place)
    assert not (PART[0] <= x < PART[2] and PART[1] <= y < PART[3])


def test_small_things_are_left_out_and_only_the_largest_are_listed() -> None:
    assert boxes(found(DrawnModel(), Search(16, smallest=0.01))) == [THINGS["right"], THINGS["left"], PART]
    assert boxes(found(DrawnModel(), Search(16, most=1))) == [THINGS["right"]]


def test_an_empty_picture_has_no_candidates() -> None:
    assert found(DrawnModel(), Search(16, smallest=1.0)) == []


@pytest.mark.long
def test_points_are_asked_in_batches_by_default_256_on_a_cpu() -> None:
    model = DrawnModel()
    found(model, Search())
    assert model.batches[:16] == [16] * 16
    assert sum(model.batches[16:]) < 16


def test_masks_have_the_shape_of_the_picture() -> None:
    regions = found(DrawnModel(), size=(32, 96))
    assert regions[0].mask.shape == (32, 96)
    (box,) = boxes(regions[:1])
    assert box == pytest.approx((48, 10, 87, 30), abs=1)


@pytest.fixture(scope="module", params=FOLDERS)
def tracker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    name = request.param
    folder = FOLDERS[name](tmp_path_factory.mktemp(name))
    settings = Settings(half=False, offline=True, threads=1).model_copy(update={name: str(folder)})
    made: Tracker = find(CHOOSERS[name].place)(Options(), settings)
    made.thresholds = LAX
    return made


@pytest.mark.parametrize("spec", ["point:0.2,0.5", "point:0.7,0.8", "box:0.1,0.3,0.4,0.5", "box:0.6,0.1,0.3,0.8"])
def test_prompts_are_tested_with_the_masks_that_the_tracker_finds(tracker: Tracker, spec: str) -> None:
    frame = tiny_models.frame(3)
    prompt, size = Prompt.model_validate(spec), (frame.height, frame.width)
    pixels = network_input.normalised(tracker.prepare(frame), MEAN, DEVIATION, torch.device("cpu"))
    with torch.inference_mode():
        (tested,) = Decoder(tracker._model, pixels, size).for_prompts([prompt])
    question = Question(tracker.prepare(frame), [Subject(prompts=(prompt,))], frame.width, frame.height)
    (choice,) = tracker.choose([question], [None])
    logits = torch.from_numpy(choice.regions["subject"])[None, None].logit()
    followed = torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)[0, 0] > 0
    assert 0 < tested.mean() < 1
    assert mask_overlap(followed.numpy(), tested) > 0.99


def test_a_network_with_random_weights_finds_distinct_regions(tracker: Tracker) -> None:
    frame = tiny_models.frame(3)
    regions = tracker.candidates(frame, Search(6, smallest=0.005))
    assert regions
    for region in regions:
        assert region.mask.shape == (frame.height, frame.width)
        assert 0.005 <= region.mask.mean() < 0.99
        assert 0.3 < region.score <= 1.0
        assert region.prompt.kind in ("point", "box")
    found = torch.tensor(boxes(regions))
    same = automatic_masks.overlaps(found, found) > LAX.duplicate
    assert int(same.sum()) == len(regions)


def test_listing_does_not_change_what_the_tracker_finds(tracker: Tracker) -> None:
    frame = tiny_models.frame(0)
    question = Question(tracker.prepare(frame), [Subject(prompts=(POINT,))], frame.width, frame.height)
    (before,) = tracker.choose([question], [None])
    tracker.candidates(frame, Search(2))
    (after,) = tracker.choose([question], [None])
    np.testing.assert_array_equal(before.regions["subject"], after.regions["subject"])
    assert before.confidence == after.confidence


def test_the_choosers_that_list_say_so() -> None:
    assert [record.name for record in listing()] == ["sam2", "edgetam", "mask2former", "eomt", "oneformer"]
