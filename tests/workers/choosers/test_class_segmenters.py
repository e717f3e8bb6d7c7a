"""The choosers for classes, with tiny networks of the real classes: their weights are random."""

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

from workers.choosers.class_segmenter import ClassSegmenter, windows
from workers.choosers.eomt import Eomt
from workers.choosers.mask2former import Mask2former
from workers.choosers.oneformer import OneFormer, task_tokens
from workers.models.segmentation import scores

SIDE = 64


def frame(width: int = 96, height: int = 64, x: float = 0.5) -> Frame:
    return over((200, 160, 140), disc(width, height, x), (40, 80, 160), noise=4.0)


def load(folder: Path, cls: type[ClassSegmenter] = Mask2former) -> ClassSegmenter:
    settings = Settings(half=False, offline=True).model_copy(update={cls.name: str(folder)})
    return cls(Options(), settings)


def saved(network: Any, folder: Path, **figures: Any) -> Path:
    """A folder as `save_pretrained` writes it, with the figures of its preprocessing."""
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(figures))
    return folder


def ask(chooser: ClassSegmenter, frames: Sequence[Frame], *specs: str) -> list[Choice]:
    subjects = parse_subjects(specs)
    questions = [Question(chooser.prepare(each), subjects, each.width, each.height) for each in frames]
    return chooser.choose(questions, [None] * len(questions))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    size = {"height": SIDE, "width": SIDE}
    return saved(tiny_segmenters.mask2former(), tmp_path_factory.mktemp("mask2former"), size=size)


@pytest.fixture(scope="module")
def chooser(folder: Path) -> ClassSegmenter:
    return load(folder)


@pytest.fixture(scope="module")
def eomt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    size = {"shortest_edge": SIDE, "longest_edge": None}
    return saved(tiny_segmenters.eomt(), tmp_path_factory.mktemp("eomt"), size=size, do_split_image=True)


@pytest.fixture(scope="module")
def eomt(eomt_folder: Path) -> ClassSegmenter:
    return load(eomt_folder, Eomt)


@pytest.fixture(scope="module")
def oneformer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    size = {"shortest_edge": SIDE, "longest_edge": 2 * SIDE}
    folder = saved(tiny_segmenters.oneformer(), tmp_path_factory.mktemp("oneformer"), size=size)
    tiny_segmenters.clip_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def oneformer(oneformer_folder: Path) -> ClassSegmenter:
    return load(oneformer_folder, OneFormer)


def outputs(chooser: ClassSegmenter, seen: Any) -> Any:
    """What the network itself returns for a prepared frame, with the normalisation that the library documents."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    values = (np.stack(seen.pictures) / 255 - mean) / deviation
    with torch.inference_mode():
        return chooser._segmenter._network(pixel_values=torch.from_numpy(values).float().permute(0, 3, 1, 2))


def test_scores_and_regions_are_those_of_the_library_before_and_after_its_argmax(chooser: ClassSegmenter) -> None:
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
def test_the_windows_of_eomt_are_merged_as_by_the_library(eomt: ClassSegmenter, size: tuple[int, int]) -> None:
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
    padded = load(saved(tiny_segmenters.eomt(), tmp_path / "padded", size=size, do_pad=True), Eomt)
    seen = padded.prepare(frame(128, 64))
    assert [picture.shape for picture in seen.pictures] == [(64, 64, 3)]
    assert (seen.pictures[0][32:] == 0).all()
    (found,) = padded._scores([seen])
    assert found.shape == (4, 32, 64)


@pytest.mark.long
def test_scores_and_the_task_of_oneformer_are_those_of_the_library(
    oneformer: ClassSegmenter, oneformer_folder: Path
) -> None:
    from transformers import CLIPTokenizer, OneFormerForUniversalSegmentation, OneFormerProcessor
    from transformers.models.oneformer.image_processing_pil_oneformer import OneFormerImageProcessorPil as Library

    tokenizer = CLIPTokenizer(str(oneformer_folder / "vocab.json"), str(oneformer_folder / "merges.txt"))
    processor = OneFormerProcessor(Library(), tokenizer)
    task = processor._preprocess_text(["the task is semantic"])
    assert task.shape == (1, 77)
    assert len(task.unique()) > 10
    torch.testing.assert_close(task_tokens(oneformer_folder, 77), task)
    seen = oneformer.prepare(frame())
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    values = torch.from_numpy((np.stack(seen.pictures) / 255 - mean) / deviation).float().permute(0, 3, 1, 2)
    network = OneFormerForUniversalSegmentation.from_pretrained(oneformer_folder).eval()
    with torch.inference_mode():
        result = network(pixel_values=values, task_inputs=task)
    (library,) = processor.post_process_semantic_segmentation(result)
    (scored,) = Library().post_process_semantic_segmentation(result, return_segmentation_scores=True)
    (found,) = oneformer._scores([seen])
    np.testing.assert_allclose(found, scored.segmentation_scores, rtol=0, atol=1e-4)
    (choice,) = ask(oneformer, [frame()], "one=class:person", "two=class:wall,dog")
    top = found.topk(2, 0)[0]
    decided = (top[0] - top[1] > 1e-3).numpy()
    assert decided.mean() > 0.5
    for name, classes in (("one", [1]), ("two", [0, 2])):
        np.testing.assert_array_equal((choice.regions[name] > 0.5)[decided], np.isin(library.numpy(), classes)[decided])


def test_the_task_of_oneformer_is_not_rounded_in_lower_precision(oneformer_folder: Path) -> None:
    low = load(oneformer_folder, OneFormer)
    low._segmenter.dtype = torch.bfloat16
    model: Any = low._segmenter._network
    tokens = model.tokens.float() * 300  # as large as those of the published vocabulary
    with torch.inference_mode():
        exact = model.network.model.task_encoder(tokens)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model.network.model.task_encoder(tokens), exact, rtol=0, atol=0)
    (choice,) = ask(low, [frame()], "class:person")
    assert np.isfinite(choice.regions["subject"]).all()


@pytest.mark.long
def test_oneformer_needs_its_tokenizer_and_ignores_what_only_training_needs(
    oneformer_folder: Path, oneformer: ClassSegmenter, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((oneformer_folder / name).read_text())
    tensors = load_file(oneformer_folder / "model.safetensors")
    save_file({**tensors, "model.text_mapper.prompt_ctx.weight": torch.zeros(4, 32)}, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text()) | {"is_training": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"vocab\.json is missing: OneFormer needs the vocabulary"):
        load(tmp_path, OneFormer)
    (tmp_path / "vocab.json").write_text("[]")
    (tmp_path / "merges.txt").write_text("")
    with pytest.raises(WeightsError, match="are not a CLIP tokenizer"):
        load(tmp_path, OneFormer)
    tiny_segmenters.clip_tokenizer(tmp_path)
    (one,), (two,) = (ask(each, [frame()], "class:dog") for each in (load(tmp_path, OneFormer), oneformer))
    np.testing.assert_allclose(one.regions["subject"], two.regions["subject"], rtol=0, atol=1e-5)


@pytest.mark.long
def test_frames_of_several_videos_are_answered_as_if_alone(
    chooser: ClassSegmenter, eomt: ClassSegmenter, oneformer: ClassSegmenter
) -> None:
    frames = [frame(), frame(64, 128, 0.3), frame(96, 64, 0.7)]
    for each in (chooser, eomt, oneformer):
        each._segmenter.batch = 2
        together = ask(each, frames, "class:person", "not:dog")
        for one, (alone,) in zip(together, (ask(each, [f], "class:person", "not:dog") for f in frames), strict=True):
            assert one.regions.keys() == {"subject", "removed"}
            for name, region in one.regions.items():
                assert region.dtype == np.float32
                assert 0.0 <= region.min() <= region.max() <= 1.0
                np.testing.assert_allclose(region, alone.regions[name], rtol=0, atol=1e-4)
        each._segmenter.batch = 1


def test_names_are_checked_before_a_frame_is_segmented(chooser: ClassSegmenter) -> None:
    wrong = parse_subjects(["class:person", "x=class:dgo"])
    with pytest.raises(UsageError, match=r"'dgo' is not a class of .*; did you mean dog\?"):
        chooser.check(wrong, (96, 64))
    with pytest.raises(UsageError, match=r"did you mean dog\?"):
        ask(chooser, [frame()], "class:dgo")
    chooser.check(parse_subjects(["class:Individual,DOG", "not:sky"]), (96, 64))


def test_confidence_is_that_of_the_region(chooser: ClassSegmenter) -> None:
    (choice,) = ask(chooser, [frame()], "all=class:person,wall,dog,sky", "one=class:dog")
    assert (choice.regions["all"] == 1.0).all()
    assert choice.confidence["all"] == 1.0
    inside = choice.regions["one"][choice.regions["one"] > 0.5]
    assert choice.confidence["one"] == pytest.approx(inside.mean() if len(inside) else 0.0, abs=1e-4)


def test_lower_precision_changes_little(folder: Path, chooser: ClassSegmenter) -> None:
    exact = load(folder)
    exact._segmenter.dtype = torch.bfloat16
    (low,), (high,) = ask(exact, [frame()], "class:person"), ask(chooser, [frame()], "class:person")
    assert np.abs(low.regions["subject"] - high.regions["subject"]).max() < 0.05
    assert (low.regions["subject"] != high.regions["subject"]).any()


def test_overflows_are_recomputed_in_full_precision(folder: Path, chooser: ClassSegmenter) -> None:
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
    for cls in (Mask2former, Eomt, OneFormer):
        with pytest.raises(WeightsError, match=r"is for MaskFormerForInstanceSegmentation, not for \w+$"):
            load(tmp_path, cls)
    expected = "is for Mask2FormerForUniversalSegmentation, not for Eomt.*; it can be used as MATTEBOX_MASK2FORMER"
    with pytest.raises(WeightsError, match=expected):
        load(folder, Eomt)


@pytest.mark.parametrize(
    ("cls", "weights"), [(Mask2former, "folder"), (Eomt, "eomt_folder"), (OneFormer, "oneformer_folder")]
)
def test_the_registry_names_the_class(cls: type[ClassSegmenter], weights: str, request: pytest.FixtureRequest) -> None:
    from stream.records.choosers import CHOOSERS
    from workers import choosers

    chosen = {cls.name: str(request.getfixturevalue(weights))}
    loaded = choosers.load(cls.name, Options(), Settings(half=False, offline=True).model_copy(update=chosen))
    assert loaded.name in CHOOSERS
    assert type(loaded) is cls
    assert not loaded.recurrent
    assert loaded.device == "cpu in float32"


def test_regions_are_soft_and_above_one_half_where_a_class_is_best() -> None:
    values = torch.tensor([[0.6, 0.3, 0.2, 0.01], [0.2, 0.3, 0.1, 0.03], [0.2, 0.1, 0.5, 0.02]])[:, None]
    region = scores.region(values, [0])
    np.testing.assert_allclose(region[0], [0.75, 0.5, 0.2 / 0.7, 0.0], atol=1e-6)
    assert scores.confidence(region) == pytest.approx(0.75)
    assert scores.confidence(torch.zeros(2, 2)) == 0.0
    np.testing.assert_allclose(scores.region(values, [0, 1, 2])[0], [1, 1, 1, 0])


def test_windows_of_an_upright_picture_lie_below_each_other(eomt: ClassSegmenter) -> None:
    found = windows(frame(64, 160), eomt._preprocessing)
    assert found.size == (160, 64)
    assert list(found.starts) == [0, 48, 96]
    whole = windows(frame(64, 160), eomt._preprocessing.__class__((0, 0, 0), (1, 1, 1), width=64, height=160))
    for start, picture in zip(found.starts, found.pictures, strict=True):
        np.testing.assert_array_equal(picture, whole.pictures[0][start : start + SIDE])
