"""Networks and pictures for the tests here. Imports torch: import it after asking whether there is one."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.workers.models.birefnet import deterministic
from workers.models.birefnet.network import BiRefNet

cached_state_dict = cache(deterministic.state_dict)


@cache
def lite() -> BiRefNet:
    """Swin-T, in float32, with drawn weights."""
    return BiRefNet.from_state_dict(cached_state_dict("lite"))


def picture(height: int, width: int, seed: int = 1) -> Tensor:
    """float32 (1, 3, height, width), normalised."""
    low, noise = map(torch.from_numpy, deterministic.image(height, width, seed))
    return F.interpolate(low, size=(height, width), mode="bilinear", align_corners=False) + noise


@torch.inference_mode()
def run(model: torch.nn.Module, x: Tensor) -> Tensor:
    """The model's answer, in float32."""
    answer: Tensor = model(x)
    return answer.float()


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, in parts of the largest value of `b`."""
    assert a.shape == b.shape
    return float((a - b).abs().max() / b.abs().max())
