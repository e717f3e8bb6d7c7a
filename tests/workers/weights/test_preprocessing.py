import json
from pathlib import Path
from typing import Any

import pytest

from stream.errors import WeightsError
from workers.weights.preprocessing import Preprocessing, read

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DEFAULT = Preprocessing(MEAN, DEVIATION, width=384, height=384, divisor=32)
SIZES = [(1280, 720), (720, 1280), (500, 500), (3000, 100), (33, 65), (1, 1), (2, 4096)]


def of(folder: Path, **config: Any) -> Preprocessing:
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return read(folder, DEFAULT, "owner/name")


def test_a_folder_without_figures_has_the_default(tmp_path: Path) -> None:
    assert read(tmp_path, DEFAULT, "owner/name") == DEFAULT
    assert of(tmp_path) == DEFAULT


@pytest.mark.parametrize("size", [{"height": 480, "width": 640}, 512])
def test_a_fixed_size(tmp_path: Path, size: Any) -> None:
    found = of(tmp_path, size=size, image_mean=[0.5] * 3, image_std=[0.25] * 3)
    assert found.resized(1280, 720) == found.resized(10, 2000) == ((640, 480) if size != 512 else (512, 512))
    assert found.mean == (0.5, 0.5, 0.5)
    assert found.deviation == (0.25, 0.25, 0.25)


def test_figures_without_normalisation_are_not_used(tmp_path: Path) -> None:
    assert of(tmp_path, image_mean=[0.5] * 3, image_std=[1.0] * 3, do_normalize=False).mean == MEAN


def test_windows_overlap_and_cover_the_longer_side(tmp_path: Path) -> None:
    found = of(tmp_path, size={"shortest_edge": 512, "longest_edge": None}, do_split_image=True, size_divisor=0)
    assert found.resized(1280, 720) == (910, 512)
    assert found.starts(910, 512) == found.starts(512, 910) == [0, 398]
    assert found.starts(512, 512) == [0]
    assert found.starts(1600, 512) == [0, 362, 725, 1088]


def test_a_padded_picture_fits_into_the_square(tmp_path: Path) -> None:
    found = of(tmp_path, size={"shortest_edge": 640, "longest_edge": 640}, do_pad=True, size_divisor=1)
    assert found.pad
    assert found.resized(1280, 720) == (640, 360)
    assert found.starts(640, 360) == [0]


@pytest.mark.parametrize("config", [{"size": "large"}, {"size": {"width": 5}}, {"size": {"height": -1, "width": 9}},
                                    {"size": 10**6}, {"image_mean": [1], "image_std": [1]}])  # fmt: skip
def test_invalid_figures_are_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match=r"owner/name: .*preprocessor_config.json cannot be used"):
        of(tmp_path, **config)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("shortest", "longest"), [(800, 1333), (512, 2048), (640, 640)])
def test_sizes_are_those_of_the_library(tmp_path: Path, size: tuple[int, int], shortest: int, longest: int) -> None:
    transforms = pytest.importorskip("transformers.image_transforms")
    found = of(tmp_path, size={"shortest_edge": shortest, "longest_edge": longest}, size_divisor=1)
    height, width = transforms.get_size_with_aspect_ratio(size[::-1], shortest, longest)
    assert found.resized(*size) == (max(1, width), max(1, height))
