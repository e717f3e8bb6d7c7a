"""The network for the parts of faces: the real class, tiny, with random weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from stream.errors import WeightsError
from stream.settings import Settings
from tests.workers.choosers import tiny_segmenters
from tests.workers.engines.engine_runs import disc, over
from workers.device.tensors import WHOLE

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from workers.choosers.faces import Faces

FRAME = over((200, 160, 140), disc(96, 64), (40, 80, 160), noise=4.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("segformer")
    tiny_segmenters.segformer().save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 64, "width": 64}}))
    return path


@pytest.fixture(scope="module")
def faces(folder: Path) -> Faces:
    return Faces(Settings(faces=str(folder), half=False, offline=True))


def test_maps_are_sums_of_the_probabilities_of_the_classes(faces: Faces) -> None:
    picture = faces.prepare(FRAME, WHOLE)
    assert picture.shape == (64, 64, 3)
    (found,) = faces.find([picture], ["hat", "glasses"])
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    values = torch.from_numpy((picture / 255 - mean) / deviation).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = faces._segmenter._network(pixel_values=values).logits[0].softmax(0)
    names = tiny_segmenters.FACE_LABELS
    np.testing.assert_allclose(found.parts, expected[names.index("hat")] + expected[names.index("eye_g")], atol=1e-5)
    others = {"background", "hair", "hat", "eye_g", "ear_r", "neck_l", "cloth"}
    skin = [index for index, name in enumerate(names) if name not in others]
    np.testing.assert_allclose(found.face, expected[skin].sum(0), atol=1e-5)
    assert found.parts.dtype == np.float32


def test_several_heads_are_found_as_if_alone(faces: Faces) -> None:
    pictures = [faces.prepare(FRAME, area) for area in (WHOLE, (0.0, 0.0, 0.5, 0.5), (0.5, 0.2, 1.0, 0.9))]
    faces._segmenter.batch = 2
    for found, picture in zip(faces.find(pictures, ["hair"]), pictures, strict=True):
        (alone,) = faces.find([picture], ["hair"])
        np.testing.assert_allclose(found.parts, alone.parts, atol=1e-5)


def test_another_segformer_is_refused(tmp_path: Path) -> None:
    tiny_segmenters.segformer(labels=("wall", "skin")).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="does not have the classes ear_r, eye_g"):
        Faces(Settings(faces=str(tmp_path), offline=True))
