"""The network and its kernel on a CUDA device; run by `make gpu-check`."""

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from tests.workers.models.birefnet import deterministic
from tests.workers.models.birefnet.networks import difference, image, lite, run
from workers.models.birefnet import deform
from workers.models.birefnet.fuse import channels_last, fuse
from workers.models.birefnet.network import BiRefNet

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

DTYPES = ["float32", "float16", "bfloat16"]
FAR = [1e3, -1e3, 1e30, math.inf, -math.inf, math.nan]


def on_gpu(network: BiRefNet, dtype: str) -> BiRefNet:
    network = channels_last(fuse(network))
    network.to("cuda", getattr(torch, dtype))
    return network


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("size", [(224, 224), (384, 640), (512, 512)])
def test_half_precision_alpha_matches_float32_on_the_cpu(size: tuple[int, int], dtype: str) -> None:
    x = image(*size)
    alpha = run(on_gpu(lite(), dtype), x.to("cuda", getattr(torch, dtype))).sigmoid().cpu()
    error = (alpha - run(lite(), x).sigmoid()).abs()
    assert error.max() <= 0.02
    assert error.mean() <= 0.002


@pytest.mark.parametrize("variant", ["lite", "general"])
def test_float32_logits_match_the_public_implementation(variant: str) -> None:
    network = on_gpu(BiRefNet.from_state_dict(deterministic.state_dict(variant)), "float32")
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        logits = run(network, image(256, 320).cuda()).cpu()
    assert difference(logits, torch.from_numpy(deterministic.logits(variant))) <= 2e-4


def test_half_precision_of_the_large_backbone() -> None:
    network = on_gpu(BiRefNet.from_state_dict(deterministic.state_dict("general")), "float16")
    alpha = run(network, image(256, 320).cuda().half()).sigmoid().cpu()
    error = (alpha - torch.from_numpy(deterministic.logits("general")).sigmoid()).abs()
    assert error.max() <= 0.02
    assert error.mean() <= 0.002


def random_inputs(
    kernel: int, height: int, width: int, dtype: str, batch: int = 2
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random x, offset, mask and weight with the network's channels."""
    torch.manual_seed(kernel + height)
    taps, kind = kernel * kernel, {"device": "cuda", "dtype": getattr(torch, dtype)}
    x = torch.randn(batch, 64, height, width, **kind)
    offset = 3 * torch.randn(batch, 2 * taps, height, width, **kind)
    mask = torch.rand(batch, taps, height, width, **kind)
    return x, offset, mask, torch.randn(256, 64, kernel, kernel, **kind) / (kernel * 8)


def torchvision(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    ops = pytest.importorskip("torchvision.ops")
    x, offset, mask, weight = x.float(), offset.float(), mask.float(), weight.float()
    out: Tensor = ops.deform_conv2d(x, offset, weight, padding=weight.shape[-1] // 2, mask=mask)
    return out


def triton_kernel(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    pytest.importorskip("triton")
    kernels = deform.triton_kernels()
    assert kernels is not None
    assert kernels.supports(x, weight)
    return deform.deform_conv2d(x, offset, mask, weight)


@pytest.mark.parametrize("ours", [triton_kernel, deform.deform_conv2d_torch])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kernel", "height", "width"), [(1, 40, 200), (3, 40, 200), (7, 40, 200), (7, 33, 129)])
def test_the_deformable_convolution_matches_torchvision(
    ours: Callable[..., Tensor], kernel: int, height: int, width: int, dtype: str
) -> None:
    arguments = random_inputs(kernel, height, width, dtype)
    tolerance = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 3e-2}[dtype]
    with torch.inference_mode():
        assert difference(ours(*arguments).float(), torchvision(*arguments)) <= tolerance


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kernel", "height", "width"), [(1, 1, 1), (3, 5, 7), (7, 256, 256), (3, 63, 65)])
def test_the_kernel_matches_plain_torch(kernel: int, height: int, width: int, dtype: str) -> None:
    arguments = random_inputs(kernel, height, width, dtype)
    tolerance = {"float32": 1e-5, "float16": 5e-3, "bfloat16": 3e-2}[dtype]
    with torch.inference_mode():
        expected = deform.deform_conv2d_torch(*(a.float() for a in arguments))
        assert difference(triton_kernel(*arguments).float(), expected) <= tolerance


@pytest.mark.parametrize("far", FAR)
def test_taps_far_outside_read_zero(far: float) -> None:
    x, offset, mask, weight = random_inputs(3, 40, 70, "float16")
    assert torch.count_nonzero(triton_kernel(x, offset * 0 + far, mask, weight)) == 0


def test_every_value_is_written() -> None:
    x, offset, mask, weight = random_inputs(3, 33, 65, "float16", batch=3)
    poisoned = torch.full((3 * 33 * 65 * 256,), torch.nan, device="cuda", dtype=torch.float16)
    del poisoned  # its memory is allocated next
    assert triton_kernel(x, offset, mask, weight).isfinite().all()
