from pathlib import Path

import pytest

from tests.onnx_networks import unet


@pytest.fixture(scope="session")
def onnx_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random U-Net that accepts any size."""
    return unet(tmp_path_factory.mktemp("onnx") / "unet.onnx")
