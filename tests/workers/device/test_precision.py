import pytest

torch = pytest.importorskip("torch")

from stream.settings import Settings
from workers.device.precision import chosen_precision, half_precision, label

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_half_precision_is_chosen_unless_the_settings_forbid_it() -> None:
    assert half_precision(CUDA) is torch.float16
    for device in (CPU, CUDA):
        assert chosen_precision(device, Settings(half=True)) is half_precision(device)
        assert chosen_precision(device, Settings(half=False)) is torch.float32


def test_the_label_names_both() -> None:
    assert label(CUDA, torch.float16) == "cuda in float16"
