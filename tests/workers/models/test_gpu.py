"""What only a CUDA device can show; run by `make gpu-check`."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.workers.models.networks import lite, picture, run
from workers.models.deform import deform_conv2d
from workers.models.fuse import fuse

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("size", [(224, 224), (384, 640), (512, 512)])
def test_float16_alpha_is_that_of_float32_on_the_cpu(size: tuple[int, int]) -> None:
    x = picture(*size)
    network = fuse(lite())
    network.to("cuda", torch.float16)
    error = (run(network, x.cuda().half()).sigmoid().cpu() - run(lite(), x).sigmoid()).abs()
    assert error.max() <= 0.02
    assert error.mean() <= 0.002


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_deformable_convolution_is_torchvisions(kernel: int, dtype: Any) -> None:
    ops = pytest.importorskip("torchvision.ops")
    torch.manual_seed(kernel)
    taps = kernel * kernel
    x = torch.randn(2, 32, 40, 200, device="cuda", dtype=dtype)
    offset = 3 * torch.randn(2, 2 * taps, 40, 200, device="cuda", dtype=dtype)
    mask = torch.rand(2, taps, 40, 200, device="cuda", dtype=dtype)
    weight = torch.randn(16, 32, kernel, kernel, device="cuda", dtype=dtype) / (kernel * 32**0.5)
    wanted = ops.deform_conv2d(x.float(), offset.float(), weight.float(), padding=kernel // 2, mask=mask.float())
    got = deform_conv2d(x, offset, mask, weight).float()
    assert (got - wanted).abs().max() <= (1e-4 if dtype is torch.float32 else 0.02) * wanted.abs().max()
