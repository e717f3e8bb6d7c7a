"""Networks and images for the BiRefNet tests. Imports torch: import it after `pytest.importorskip("torch")`."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.workers.models.birefnet import deterministic
from workers.models.birefnet.network import BiRefNet

cached_state_dict = cache(deterministic.state_dict)


@cache
def lite() -> BiRefNet:
    """Swin-T, in float32, with random weights."""
    return BiRefNet.from_state_dict(cached_state_dict("lite"))


def image(height: int, width: int, seed: int = 1) -> Tensor:
    """float32 (1, 3, height, width), normalised."""
    low, noise = map(torch.from_numpy, deterministic.image(height, width, seed))
    return F.interpolate(low, size=(height, width), mode="bilinear", align_corners=False) + noise


@torch.inference_mode()
def run(model: torch.nn.Module, x: Tensor) -> Tensor:
    """The model's output, in float32."""
    output: Tensor = model(x)
    return output.float()


def difference(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference, relative to the largest absolute value of `b`."""
    assert a.shape == b.shape
    return float((a - b).abs().max() / b.abs().max())
