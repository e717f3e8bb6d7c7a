"""The chooser for classes, with tiny networks of the real classes: their weights are random."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.errors import UsageError, WeightsError
from stream.picture.frames import Frame
from stream.records.options import Options
from stream.records.subjects import parse_subjects
from stream.settings import Settings
from tests.workers.choosers import tiny_segmenters
from tests.workers.engines.engine_runs import disc, over
from workers.choosers.base import Choice, Question

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from workers.choosers.mask2former import Mask2former, windows
from workers.models.segmentation import scores

SIDE = 64


def frame(width: int = 96, height: int = 64, x: float = 0.5) -> Frame:
    return over((200, 160, 140), disc(width, height, x), (40, 80, 160), noise=4.0)


def load(folder: Path, half: bool = False) -> Mask2former:
    return Mask2former(Options(), Settings(mask2former=str(folder), half=half, offline=True))


def saved(network: Any, folder: Path, **figures: Any) -> Path:
    """A folder as `save_pretrained` writes it, with the figures of its preprocessing."""
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(figures))
    return folder


def ask(chooser: Mask2former, frames: Sequence[Frame], *specs: str) -> list[Choice]:
    subjects = parse_subjects(specs)
    questions = [Question(chooser.prepare(each), subjects, each.width, each.height) for each in frames]
    return chooser.choose(questions, [None] * len(questions))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    size = {"height": SIDE, "width": SIDE}
    return saved(tiny_segmenters.mask2former(), tmp_path_factory.mktemp("mask2former"), size=size)


@pytest.fixture(scope="module")
def chooser(folder: Path) -> Mask2former:
    return load(folder)


@pytest.fixture(scope="module")
def eomt(tmp_path_factory: pytest.TempPathFactory) -> Mask2former:
    size = {"shortest_edge": SIDE, "longest_edge": None}
    return load(saved(tiny_segmenters.eomt(), tmp_path_factory.mktemp("eomt"), size=size, do_split_image=True))


def outputs(chooser: Mask2former, seen: Any) -> Any:
    """What the network itself returns for a prepared frame, with the normalisation that the library documents."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    values = (np.stack(seen.pictures) / 255 - mean) / deviation
    with torch.inference_mode():
        return chooser._segmenter._network(pixel_values=torch.from_numpy(values).float().permute(0, 3, 1, 2))


def test_scores_and_regions_are_those_of_the_library_before_and_after_its_argmax(chooser: Mask2former) -> None:
    from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil as Library

    seen = chooser.prepare(frame())
    (library,) = Library().post_process_semantic_segmentation(outputs(chooser, seen), return_segmentation_scores=True)
    (found,) = chooser._scores([seen])
    np.testing.assert_allclose(found, library.segmentation_scores, rtol=0, atol=1e-4)
    (choice,) = ask(chooser, [frame()], "one=class:person", "two=class:wall,dog")
    top = library.segmentation_scores.topk(2, 0)[0]
    decided = (top[0] - top[1] > 1e-3).numpy()
    assert decided.mean() > 0.5
    for name, classes in (("one", [1]), ("two", [0, 2])):
        expected = np.isin(library.segmentation.numpy(), classes)
        np.testing.assert_array_equal((choice.regions[name] > 0.5)[decided], expected[decided])


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (64, 64), (200, 64)])
def test_the_windows_of_eomt_are_merged_as_by_the_library(eomt: Mask2former, size: tuple[int, int]) -> None:
    from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil as Library

    width, height = size
    seen = eomt.prepare(frame(width, height))
    assert len(seen.pictures) == -(-max(size) // SIDE)
    result = outputs(eomt, seen)
    result.patch_offsets = [(0, start, start + SIDE) for start in seen.starts]
    (library,) = Library().post_process_semantic_segmentation(
        result, [(height, width)], {"shortest_edge": SIDE, "longest_edge": None}, return_segmentation_scores=True
    )
    (found,) = eomt._scores([seen])
    np.testing.assert_allclose(found, library.segmentation_scores, rtol=0, atol=1e-4)


def test_a_padded_picture_has_scores_without_the_padding(tmp_path: Path) -> None:
    size = {"shortest_edge": SIDE, "longest_edge": SIDE}
    padded = load(saved(tiny_segmenters.eomt(), tmp_path / "padded", size=size, do_pad=True))
    seen = padded.prepare(frame(128, 64))
    assert [picture.shape for picture in seen.pictures] == [(64, 64, 3)]
    assert (seen.pictures[0][32:] == 0).all()
    (found,) = padded._scores([seen])
    assert found.shape == (4, 32, 64)


def test_frames_of_several_videos_are_answered_as_if_alone(chooser: Mask2former, eomt: Mask2former) -> None:
    frames = [frame(), frame(64, 128, 0.3), frame(96, 64, 0.7)]
    for each in (chooser, eomt):
        each._segmenter.batch = 2
        together = ask(each, frames, "class:person", "not:dog")
        for one, (alone,) in zip(together, (ask(each, [f], "class:person", "not:dog") for f in frames), strict=True):
            assert one.regions.keys() == {"subject", "removed"}
            for name, region in one.regions.items():
                assert region.dtype == np.float32
                assert 0.0 <= region.min() <= region.max() <= 1.0
                np.testing.assert_allclose(region, alone.regions[name], rtol=0, atol=1e-4)
        each._segmenter.batch = 1


def test_names_are_checked_before_a_frame_is_segmented(chooser: Mask2former) -> None:
    wrong = parse_subjects(["class:person", "x=class:dgo"])
    with pytest.raises(UsageError, match=r"'dgo' is not a class of .*; did you mean dog\?"):
        chooser.check(wrong)
    with pytest.raises(UsageError, match=r"did you mean dog\?"):
        ask(chooser, [frame()], "class:dgo")
    chooser.check(parse_subjects(["class:Individual,DOG", "not:sky"]))


def test_confidence_is_that_of_the_region(chooser: Mask2former) -> None:
    (choice,) = ask(chooser, [frame()], "all=class:person,wall,dog,sky", "one=class:dog")
    assert (choice.regions["all"] == 1.0).all()
    assert choice.confidence["all"] == 1.0
    inside = choice.regions["one"][choice.regions["one"] > 0.5]
    assert choice.confidence["one"] == pytest.approx(inside.mean() if len(inside) else 0.0, abs=1e-4)


def test_lower_precision_changes_little(folder: Path, chooser: Mask2former) -> None:
    exact = load(folder)
    exact._segmenter.dtype = torch.bfloat16
    (low,), (high,) = ask(exact, [frame()], "class:person"), ask(chooser, [frame()], "class:person")
    assert np.abs(low.regions["subject"] - high.regions["subject"]).max() < 0.05
    assert (low.regions["subject"] != high.regions["subject"]).any()


def test_overflows_are_recomputed_in_full_precision(folder: Path, chooser: Mask2former) -> None:
    class Overflowing(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixel_values: Any) -> Any:
            result = self.network(pixel_values=pixel_values)
            if torch.is_autocast_enabled("cpu"):
                result["masks_queries_logits"] = result["masks_queries_logits"] * float("inf")
            return result

    other = load(folder)
    other._segmenter.dtype = torch.bfloat16
    other._segmenter._network = Overflowing(other._segmenter._network)
    (one,), (two,) = ask(other, [frame()], "class:person"), ask(chooser, [frame()], "class:person")
    np.testing.assert_allclose(one.regions["subject"], two.regions["subject"], rtol=0, atol=1e-5)


def test_a_folder_of_another_class_is_refused(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["MaskFormerForInstanceSegmentation"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="MaskFormerForInstanceSegmentation"):
        load(tmp_path)


def test_the_registry_names_the_class(folder: Path) -> None:
    from stream.records.choosers import CHOOSERS
    from workers import choosers

    loaded = choosers.load("mask2former", Options(), Settings(mask2former=str(folder), half=False, offline=True))
    assert loaded.name in CHOOSERS
    assert not loaded.recurrent
    assert loaded.device == "cpu in float32"


def test_regions_are_soft_and_above_one_half_where_a_class_is_best() -> None:
    values = torch.tensor([[0.6, 0.3, 0.2, 0.01], [0.2, 0.3, 0.1, 0.03], [0.2, 0.1, 0.5, 0.02]])[:, None]
    region = scores.region(values, [0])
    np.testing.assert_allclose(region[0], [0.75, 0.5, 0.2 / 0.7, 0.0], atol=1e-6)
    assert scores.confidence(region) == pytest.approx(0.75)
    assert scores.confidence(torch.zeros(2, 2)) == 0.0
    np.testing.assert_allclose(scores.region(values, [0, 1, 2])[0], [1, 1, 1, 0])


def test_windows_of_an_upright_picture_lie_below_each_other(eomt: Mask2former) -> None:
    found = windows(frame(64, 160), eomt._preprocessing)
    assert found.size == (160, 64)
    assert list(found.starts) == [0, 48, 96]
    whole = windows(frame(64, 160), eomt._preprocessing.__class__((0, 0, 0), (1, 1, 1), width=64, height=160))
    for start, picture in zip(found.starts, found.pictures, strict=True):
        np.testing.assert_array_equal(picture, whole.pictures[0][start : start + SIDE])
