"""Deformable convolution against a loop over single values."""

import math

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.models.birefnet import deform
from workers.models.birefnet.deform import DeformableConv2d, deform_conv2d


def bilinear(channel: Tensor, y: float, x: float) -> float:
    """One value of an (H, W) map at a position, zero outside the map."""
    top, left = math.floor(y), math.floor(x)
    value = 0.0
    for row, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= row < channel.shape[0] and 0 <= column < channel.shape[1]:
                value += weight_y * weight_x * float(channel[row, column])
    return value


def reference(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """The definition, in torchvision's conventions, one position and tap at a time."""
    kernel = weight.shape[-1]
    batch, channels, height, width = x.shape
    out = torch.zeros(batch, weight.shape[0], height, width)
    for b, row, column, tap in np.ndindex(batch, height, width, kernel * kernel):
        y = row + tap // kernel - kernel // 2 + float(offset[b, 2 * tap, row, column])
        x_ = column + tap % kernel - kernel // 2 + float(offset[b, 2 * tap + 1, row, column])
        values = torch.tensor([bilinear(x[b, c], y, x_) for c in range(channels)]) * mask[b, tap, row, column]
        out[b, :, row, column] += weight[:, :, tap // kernel, tap % kernel] @ values
    return out


def random_inputs(
    kernel: int, height: int = 5, width: int = 7, batch: int = 2
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random x, offset (of some pixels, so that many taps fall outside), mask and weight."""
    draw = torch.Generator().manual_seed(kernel)
    taps = kernel * kernel
    x = torch.randn(batch, 3, height, width, generator=draw)
    offset = torch.randn(batch, 2 * taps, height, width, generator=draw) * 3
    mask = torch.rand(batch, taps, height, width, generator=draw) * 2
    return x, offset, mask, torch.randn(4, 3, kernel, kernel, generator=draw)


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_matches_the_reference(kernel: int) -> None:
    x, offset, mask, weight = random_inputs(kernel, *((3, 4) if kernel == 7 else (5, 7)))
    torch.testing.assert_close(deform_conv2d(x, offset, mask, weight), reference(x, offset, mask, weight))


@pytest.mark.parametrize("kernel", [1, 3])
def test_whole_offsets_reach_the_outermost_pixels_and_no_further(kernel: int) -> None:
    x, offset, mask, weight = random_inputs(kernel)
    offset = offset.round()
    torch.testing.assert_close(deform_conv2d(x, offset, mask, weight), reference(x, offset, mask, weight))


def test_without_offsets_it_is_a_convolution() -> None:
    x, offset, mask, weight = random_inputs(3)
    bias = torch.tensor([1.0, -2.0, 3.0, 4.0])
    out = deform_conv2d(x, offset * 0, mask * 0 + 1, weight, bias)
    torch.testing.assert_close(out, F.conv2d(x, weight, bias, padding=1))


def test_relu_clips_negative_values() -> None:
    arguments = random_inputs(3)
    out = deform_conv2d(*arguments, relu=True)
    assert (out == 0).any()
    torch.testing.assert_close(out, deform_conv2d(*arguments).relu())


def test_chunk_size_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = random_inputs(3)
    whole = deform_conv2d(*arguments)
    monkeypatch.setattr(deform, "_CHUNK_CPU", 1)
    torch.testing.assert_close(deform_conv2d(*arguments), whole)


def test_memory_layout_makes_no_difference() -> None:
    arguments = random_inputs(3)
    x, offset, mask, weight = (a.contiguous(memory_format=torch.channels_last) for a in arguments)
    torch.testing.assert_close(deform_conv2d(x, offset, mask, weight), deform_conv2d(*arguments))


@pytest.mark.parametrize("far", [1e3, -1e3, 1e30, -1e30, math.inf, -math.inf, math.nan])
def test_taps_far_outside_read_zero(far: float) -> None:
    x, offset, mask, weight = random_inputs(3)
    assert torch.count_nonzero(deform_conv2d(x, offset * 0 + far, mask, weight)) == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_positions_are_exact_in_wide_images(dtype: torch.dtype) -> None:
    x = torch.arange(600).remainder(7).to(dtype).expand(1, 1, 3, 600)
    still = deform_conv2d(x, x.new_zeros(1, 2, 3, 600), x.new_ones(1, 1, 3, 600), x.new_ones(1, 1, 1, 1))
    assert still.dtype == dtype
    assert torch.equal(still, x)
    moved = deform_conv2d(x, x.new_full((1, 2, 3, 600), 0.5), x.new_ones(1, 1, 3, 600), x.new_ones(1, 1, 1, 1))
    expected = (x[..., :-1, :-1] + x[..., :-1, 1:]).float() / 2
    assert torch.equal(moved[..., :-1, :-1].float(), expected)


def test_the_module_predicts_its_own_offsets_and_mask() -> None:
    torch.manual_seed(0)
    module, x = DeformableConv2d(3, 4, 3), random_inputs(3)[0]
    with torch.no_grad():
        out = module(x)
        mask = 2 * torch.sigmoid(module.modulator_conv(x))
        expected = reference(x, module.offset_conv(x), mask, module.regular_conv.weight)
    torch.testing.assert_close(out, expected)
