"""ViTMatte on a device: the input of its published processor, and the outputs of transformers' own class."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")
import torch
from transformers import VitMatteForImageMatting

from stream.errors import WeightsError
from stream.picture.frames import Plane
from tests.tiny_vitmatte import tiny_vitmatte
from workers.device.vitmatte import VitMatte, pixel_values

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vitmatte(tmp_path_factory.mktemp("vitmatte"))


@pytest.fixture(scope="module")
def pictures() -> tuple[Plane, Plane]:
    """Two pictures whose sides are not multiples of 32, and their trimaps."""
    rng = np.random.default_rng(3)
    trimaps = rng.choice(np.array([0, 128, 255], np.uint8), (2, 5, 7)).repeat(14, 1).repeat(14, 2)
    return rng.integers(0, 256, (2, 70, 98, 3), dtype=np.uint8), trimaps


def test_the_input_is_that_of_the_published_processor(pictures: tuple[Plane, Plane]) -> None:
    from transformers.models.vitmatte.image_processing_pil_vitmatte import VitMatteImageProcessorPil

    colours, trimaps = pictures
    processor: Any = VitMatteImageProcessorPil()
    expected = processor(images=list(colours), trimaps=list(trimaps), return_tensors="pt")["pixel_values"]
    ours = pixel_values(colours, trimaps, CPU)
    assert ours.shape == expected.shape == (2, 4, 96, 128)
    assert (ours - expected).abs().max() < 1e-4


def test_the_output_is_that_of_the_model(folder: Path, pictures: tuple[Plane, Plane]) -> None:
    """One picture at a time by transformers, as a batch by us."""
    model: Any = VitMatteForImageMatting.from_pretrained(folder)
    model.eval()
    alphas = VitMatte(folder, 1)(*pictures)
    assert alphas.shape == (2, 70, 98)
    assert alphas.std() > 0.02, "a constant would prove nothing"
    for ours, colours, trimap in zip(alphas, *pictures, strict=True):
        with torch.inference_mode():
            expected = model(pixel_values(colours[None], trimap[None], CPU)).alphas[0, 0, :70, :98]
        np.testing.assert_allclose(ours, expected.numpy(), atol=1e-5)


def test_weights_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text().replace("VitMatteFor", "Other"))
    with pytest.raises(WeightsError, match="not for VitMatteForImageMatting"):
        VitMatte(tmp_path, 1)


def test_a_configuration_may_leave_out_the_default_sizes(tmp_path: Path, pictures: tuple[Plane, Plane]) -> None:
    """transformers' own default for them does not work."""
    folder = tiny_vitmatte(tmp_path, (256, 128, 64, 32))
    config = folder / "config.json"
    content = json.loads(config.read_text())
    content.pop("fusion_hidden_sizes", None)
    config.write_text(json.dumps(content))
    assert VitMatte(folder, 1)(*pictures).shape == (2, 70, 98)
