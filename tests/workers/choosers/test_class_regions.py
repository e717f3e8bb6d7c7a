"""The connected regions of classes: of drawn scores, and of a tiny Mask2Former."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from workers.choosers import class_regions
from workers.choosers.base import Search

NAMES = ["wall", "person", "dog"]


def drawn() -> Any:
    """Scores (3, 40, 60): a wall, two persons and a small dog."""
    scores = torch.zeros(3, 40, 60)
    scores[0] = 0.3
    scores[1, 5:35, 5:20] = 0.9
    scores[1, 10:30, 40:50] = 0.6
    scores[2, 36:38, 30:33] = 0.8
    return scores


def test_each_connected_region_of_a_class_is_a_candidate() -> None:
    regions = class_regions.regions(drawn(), NAMES, (40, 60), Search())
    assert [region.prompt.spec() for region in regions] == ["class:wall", "class:person", "class:person", "class:dog"]
    assert [int(region.mask.sum()) for region in regions[1:]] == pytest.approx([450, 200, 6], abs=2)
    assert [region.score for region in regions[1:]] == pytest.approx([0.9 / 1.2, 0.6 / 0.9, 0.8 / 1.1], abs=0.02)


def test_small_regions_are_left_out_and_only_the_largest_are_listed() -> None:
    specs = [region.prompt.spec() for region in class_regions.regions(drawn(), NAMES, (40, 60), Search(smallest=0.01))]
    assert specs == ["class:wall", "class:person", "class:person"]
    assert len(class_regions.regions(drawn(), NAMES, (40, 60), Search(most=2))) == 2


def test_where_no_class_was_recognised_there_is_no_candidate() -> None:
    assert class_regions.regions(torch.full((3, 8, 8), 0.01), NAMES, (8, 8), Search()) == []


def test_masks_have_the_shape_of_the_picture() -> None:
    regions = class_regions.regions(drawn(), NAMES, (20, 120), Search())
    assert {region.mask.shape for region in regions} == {(20, 120)}
    rows, columns = np.nonzero(regions[1].mask)
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == pytest.approx((10, 40, 2, 18), abs=1)


@pytest.mark.long
def test_a_network_lists_the_classes_that_it_sees(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from stream.records.options import Options
    from stream.settings import Settings
    from tests.workers.choosers import tiny_models, tiny_segmenters
    from workers.choosers.mask2former import Mask2former

    tiny_segmenters.mask2former().save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 64, "width": 64}}))
    chooser = Mask2former(Options(), Settings(mask2former=str(tmp_path), half=False, offline=True))
    frame = tiny_models.frame(0)
    regions = chooser.candidates(frame, Search())
    (scores,) = chooser._scores([chooser.prepare(frame)])
    assert regions
    assert {region.mask.shape for region in regions} == {(64, 96)}
    seen = {("wall", "person", "dog", "sky")[index] for index in set(scores.argmax(0).flatten().tolist())}
    assert {name for region in regions for name in region.prompt.names} <= seen
    assert not any((one.mask & other.mask).any() for one in regions for other in regions if one is not other)
