"""The CUDA kernel against the plain torch path, run by Triton's interpreter on a CPU.

The interpreter multiplies bfloat16 as integers (Triton 3.9), so `test_gpu.py` tests that dtype.
"""

import importlib.util
import math
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from torch import Tensor

from workers.models.birefnet.deform import deform_conv2d_torch


@pytest.fixture(scope="module")
def interpreted() -> ModuleType:
    """A second copy of the kernel's module: Triton reads TRITON_INTERPRET when a kernel is defined."""
    spec = importlib.util.find_spec("workers.models.birefnet.deform_triton")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        spec.loader.exec_module(module)
    return module


def random_inputs(
    kernel: int, height: int, width: int, channels: int = 16, out: int = 32, spread: float = 3.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random x, offset, mask and weight for two images, scaled so that the sums are about as large as x."""
    draw = torch.Generator().manual_seed(kernel)
    taps = kernel * kernel
    x = torch.randn(2, channels, height, width, generator=draw)
    offset = torch.randn(2, 2 * taps, height, width, generator=draw) * spread
    mask = torch.rand(2, taps, height, width, generator=draw) * 2
    return x, offset, mask, torch.randn(out, channels, kernel, kernel, generator=draw) / (kernel * channels**0.5)


@pytest.mark.long
@pytest.mark.parametrize(
    ("kernel", "height", "width"), [(1, 5, 7), (1, 1, 1), (1, 8, 16), (3, 9, 13), (3, 1, 40), (7, 6, 5)]
)
def test_matches_plain_torch(interpreted: ModuleType, kernel: int, height: int, width: int) -> None:
    arguments = random_inputs(kernel, height, width)
    torch.testing.assert_close(
        interpreted.deform_conv2d(*arguments), deform_conv2d_torch(*arguments), rtol=1e-5, atol=1e-5
    )


@pytest.mark.long
def test_with_the_networks_channels_in_half_precision(interpreted: ModuleType) -> None:
    x, offset, mask, weight = random_inputs(3, 6, 11, channels=64, out=256)
    out = interpreted.deform_conv2d(x.half(), offset.half(), mask.half(), weight.half())
    assert out.dtype == torch.float16
    expected = deform_conv2d_torch(x.half().float(), offset.half().float(), mask.half().float(), weight.half().float())
    torch.testing.assert_close(out.float(), expected, rtol=2e-3, atol=4e-3)


@pytest.mark.long
def test_bias_and_relu(interpreted: ModuleType) -> None:
    arguments, bias = random_inputs(3, 5, 7), torch.linspace(-1, 1, 32)
    out = interpreted.deform_conv2d(*arguments, bias, relu=True)
    torch.testing.assert_close(out, deform_conv2d_torch(*arguments, bias).relu(), rtol=1e-5, atol=1e-5)
    assert (out == 0).any()


@pytest.mark.long
@pytest.mark.parametrize("tile", [(16, 1, 1), (128, 8, 2)])
def test_tiles_make_no_difference(interpreted: ModuleType, tile: tuple[int, int, int]) -> None:
    arguments = random_inputs(3, 9, 13)
    out = interpreted.deform_conv2d(*arguments, tile=tile)
    torch.testing.assert_close(out, deform_conv2d_torch(*arguments), rtol=1e-5, atol=1e-5)


def test_whole_offsets_reach_the_outermost_pixels_and_no_further(interpreted: ModuleType) -> None:
    x, offset, mask, weight = random_inputs(3, 5, 7)
    arguments = x, offset.round(), mask, weight
    torch.testing.assert_close(
        interpreted.deform_conv2d(*arguments), deform_conv2d_torch(*arguments), rtol=1e-5, atol=1e-5
    )


def test_large_offsets(interpreted: ModuleType) -> None:
    arguments = random_inputs(3, 8, 8, spread=100.0)
    torch.testing.assert_close(
        interpreted.deform_conv2d(*arguments), deform_conv2d_torch(*arguments), rtol=1e-5, atol=1e-5
    )


@pytest.mark.long
@pytest.mark.parametrize("far", [1e3, -1e3, 1e30, -1e30, math.inf, -math.inf, math.nan])
def test_taps_far_outside_read_zero(interpreted: ModuleType, far: float) -> None:
    x, offset, mask, weight = random_inputs(3, 5, 7)
    assert torch.count_nonzero(interpreted.deform_conv2d(x, offset * 0 + far, mask, weight)) == 0


@pytest.mark.long
def test_slices_and_any_memory_layout_are_read(interpreted: ModuleType) -> None:
    x, offset, mask, weight = random_inputs(3, 5, 7)
    merged = torch.cat([offset, mask, mask], 1).contiguous(memory_format=torch.channels_last)
    out = interpreted.deform_conv2d(x, merged[:, :18], merged[:, 18:27], weight)
    torch.testing.assert_close(out, deform_conv2d_torch(x, offset, mask, weight), rtol=1e-5, atol=1e-5)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_half_precision_positions_are_exact_in_wide_images(interpreted: ModuleType) -> None:
    x = torch.arange(600).remainder(7).half().expand(1, 16, 2, 600)
    weight = torch.eye(16).half()[..., None, None]
    moved = interpreted.deform_conv2d(x, x.new_full((1, 2, 2, 600), 0.5), x.new_ones(1, 1, 2, 600), weight)
    assert torch.equal(moved[..., :-1, :-1].float(), (x[..., :-1, :-1] + x[..., :-1, 1:]).float() / 2)


def test_supported_channels_are_powers_of_two(interpreted: ModuleType) -> None:
    x = torch.zeros(1, 64, 2, 2)
    assert interpreted.supports(x, torch.zeros(256, 64, 1, 1))
    assert not interpreted.supports(x, torch.zeros(24, 64, 1, 1))
    assert not interpreted.supports(x[:, :8], torch.zeros(256, 8, 1, 1))
    assert not interpreted.supports(x[:1, :1, :1, :1].expand(1 << 20, 64, 64, 64), torch.zeros(256, 64, 1, 1))
