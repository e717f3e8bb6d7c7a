"""SAM 3: words and its tracker, from a folder of weights to regions, against transformers' own calls."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from stream.errors import WeightsError
from stream.records.options import Options
from stream.records.subjects import parse_subjects
from stream.settings import Settings
from tests.workers.choosers import tiny_models
from tests.workers.choosers.test_tracking import ask, follow, largest_difference
from workers.choosers import network_input
from workers.choosers.sam3 import Sam3

HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # mean and deviation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.sam3(tmp_path_factory.mktemp("sam3"))


def load(folder: Path) -> Sam3:
    return Sam3(Options(), Settings(sam3=str(folder), half=False, offline=True, threads=1))


@pytest.fixture(scope="module")
def chooser(folder: Path) -> Sam3:
    return load(folder)


@pytest.mark.long
def test_words_give_the_masks_of_all_that_is_detected(chooser: Sam3, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = network_input.normalised(chooser.prepare(tiny_models.frame(0)), *HALVES, torch.device("cpu"))
    for name, ids in (("subject", [3, 4, 5]), ("dog", [6])):
        tokens = torch.tensor([ids + [2] * (32 - len(ids))])
        attention = torch.tensor([[1] * len(ids) + [0] * (32 - len(ids))])
        with torch.inference_mode():
            output = chooser._video.detector_model(pixel_values=pixels, input_ids=tokens, attention_mask=attention)
        scores = (output.pred_logits.sigmoid() * output.presence_logits.sigmoid())[0]
        threshold = float(scores.sort().values[4:6].mean())
        monkeypatch.setattr(chooser._video, "score_threshold_detection", threshold)
        masks = output.pred_masks[0].sigmoid()[scores > threshold]
        assert len(masks) == 5
        choice = ask(chooser, 0, parse_subjects(["a red guitar", "dog=words:dog"]))
        assert largest_difference(choice.regions[name], masks.amax(0).numpy()) <= 1e-4
        assert choice.confidence[name] == pytest.approx(float(scores.max()), abs=1e-4)


def test_what_is_not_detected_has_an_empty_region(chooser: Sam3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chooser._video, "score_threshold_detection", 1.0)
    choice = ask(chooser, 0, parse_subjects(["guitar"]))
    assert not choice.regions["subject"].any()
    assert choice.confidence["subject"] < 1.0


@pytest.mark.long
def test_its_tracker_gives_the_masks_of_an_unbounded_session(chooser: Sam3) -> None:
    session = chooser._session(dtype=torch.float32)
    point = {"point_coords": torch.tensor([[[[0.2 * 56, 0.5 * 56]]]]), "point_labels": torch.ones(1, 1, 1).int()}
    session.add_point_inputs(session.obj_id_to_idx(0), 0, point)
    session.obj_with_new_inputs = [0]
    for number, choice in enumerate(follow(chooser, 25, {0: ["point:0.2,0.5"]})):
        pixels = network_input.normalised(chooser.prepare(tiny_models.frame(number)), *HALVES, torch.device("cpu"))
        with torch.inference_mode():
            embedding = chooser._video.detector_model.get_vision_features(pixel_values=pixels)
            features, positions = chooser._video.get_vision_features_for_tracker(vision_embeds=embedding)
        cached: dict[str, Any] = {"vision_feats": features, "vision_pos_embeds": positions}
        session.cache.cache_vision_features(number, cached)
        expected = chooser._model(session, frame=pixels, frame_idx=number).pred_masks[0, 0].sigmoid().numpy()
        assert largest_difference(choice.regions["subject"], expected) <= 1e-4, number


def test_words_and_points_of_one_subject_are_joined(chooser: Sam3) -> None:
    words, point, both = (
        ask(chooser, 0, parse_subjects(specs)).regions["subject"]
        for specs in (["guitar"], ["point:0.2,0.5"], ["guitar", "point:0.2,0.5"])
    )
    assert largest_difference(both, np.maximum(words, point)) <= 1e-6


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_a_folder_without_a_usable_tokenizer_is_refused(folder: Path, tmp_path: Path, content: str | None) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(WeightsError, match=r"tokenizer\.json"):
        load(tmp_path)


def test_no_kernel_is_fetched_from_the_hub(chooser: Sam3) -> None:
    from transformers.models.sam3_video import modeling_sam3_video

    ask(chooser, 0, parse_subjects(["guitar"]))
    assert modeling_sam3_video.cv_utils_kernel is None
