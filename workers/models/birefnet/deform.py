"""Modulated deformable convolution: plain torch for every device and dtype, and our own Triton kernel on CUDA.

For each output pixel, every kernel tap is moved by an offset, sampled bilinearly and scaled by a mask. The conventions
are torchvision's. Stride 1, dilation 1, one offset group.
"""

import functools
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Maximum elements of the gathered columns at a time: they stay in a CPU's caches, and 1024x1024 needs no gigabytes.
_CHUNK_CPU = 1 << 20
_CHUNK = 1 << 27


def deform_conv2d(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """Deformable convolution of `x`, padded by half a kernel, zero outside the image.

    x: (B, C, H, W). offset: (B, 2*k*k, H, W) in pixels, (y, x) per tap. mask: (B, k*k, H, W). weight: (O, C, k, k),
    k odd. bias: (O,). relu: apply ReLU to the result. Returns (B, O, H, W) in the dtype of x, in channels-last memory.
    Inference only: no gradients.
    """
    kernels = triton_kernels() if x.is_cuda else None
    if kernels is not None and kernels.supports(x, weight):
        out: Tensor = kernels.deform_conv2d(x, offset, mask, weight, bias, relu)
        return out
    out = deform_conv2d_torch(x, offset, mask, weight, bias)
    return out.relu_() if relu else out


@functools.cache
def triton_kernels() -> ModuleType | None:
    """The module with the CUDA kernel, or None where Triton is not installed."""
    try:
        from workers.models.birefnet import deform_triton
    except ImportError:
        return None
    return deform_triton


def deform_conv2d_torch(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`deform_conv2d` in plain torch: gather pixels into columns, a chunk of rows at a time, and multiply matrices."""
    batch, _, height, width = x.shape
    out_channels, in_channels, kernel, _ = weight.shape
    taps = kernel * kernel
    pixels = _padded_pixels(x)
    matrix = weight.permute(2, 3, 1, 0).reshape(taps * in_channels, out_channels)
    # the rows of all images, one after the other: (B*H, W, ...)
    offset = offset.permute(0, 2, 3, 1).contiguous().view(batch * height, width, taps, 2)
    mask = mask.permute(0, 2, 3, 1).contiguous().view(batch * height, width, taps)
    step = _rows_per_chunk(x, taps)
    out = x.new_empty(batch * height * width, out_channels)
    for first in range(0, batch * height, step):
        index, blend = _corners(offset[first : first + step], mask[first : first + step], kernel, height, first)
        columns = F.embedding_bag(index, pixels, per_sample_weights=blend.to(x.dtype), mode="sum")
        columns = columns.view(-1, taps * in_channels)
        chunk = out[first * width : (first + step) * width]
        torch.mm(columns, matrix, out=chunk) if bias is None else torch.addmm(bias, columns, matrix, out=chunk)
    return out.view(batch, height, width, out_channels).permute(0, 3, 1, 2)


def _padded_pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) to one row per pixel, (B*(H+3)*(W+3), C), padded with zeros.

    One pixel before and two after: every read outside the image falls on the padding, so no corner needs a check.
    """
    return F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 2, 1, 2)).reshape(-1, x.shape[1])


def _rows_per_chunk(x: Tensor, taps: int) -> int:
    chunk = _CHUNK_CPU if x.device.type == "cpu" else _CHUNK
    return max(1, chunk // (x.shape[1] * x.shape[3] * taps))


def _corners(offset: Tensor, mask: Tensor, kernel: int, height: int, first: int) -> tuple[Tensor, Tensor]:
    """The four pixels around each tap and their bilinear weights: int64 and float32, both (rows*W*taps, 4).

    offset: (rows, W, taps, 2). mask: (rows, W, taps). first: index of the first row. height: rows per image.
    Computed in float32: bfloat16 cannot represent every column index beyond 256.
    """
    rows, width = offset.shape[:2]
    row = torch.arange(first, first + rows, device=offset.device)
    tap = torch.arange(kernel * kernel, device=offset.device)
    tap_y = (row % height)[:, None, None] + (tap // kernel - kernel // 2)
    tap_x = torch.arange(width, device=offset.device)[:, None] + (tap % kernel - kernel // 2)
    top, below = _floor_and_fraction(offset[..., 0].float() + tap_y, height)
    left, right = _floor_and_fraction(offset[..., 1].float() + tap_x, width)
    stride = width + 3
    image = torch.div(row, height, rounding_mode="floor")[:, None, None] * (height + 3)
    index = (image + top + 1) * stride + left + 1
    pair = torch.arange(2, device=offset.device)  # made on the device: a copy would abort the capture of a CUDA graph
    corners = (pair[:, None] * stride + pair).flatten()
    upper, lower = (1 - below) * mask, below * mask
    blend = torch.stack([upper * (1 - right), upper * right, lower * (1 - right), lower * right], -1)
    return (index[..., None] + corners).view(-1, 4), blend.view(-1, 4)


def _floor_and_fraction(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Floor (int64) and fraction of positions along an axis of `size` pixels.

    Positions beyond -1 and `size` read zeros, so they are clamped to those: no index may leave the image, even for
    an offset that is NaN.
    """
    position = position.nan_to_num(nan=-1.0).clamp(-1, size)
    floor = position.floor()
    return floor.long(), position - floor


class DeformableConv2d(nn.Module):
    """A deformable convolution that predicts its own offsets and mask."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        taps, padding = kernel * kernel, kernel // 2
        self.offset_conv = nn.Conv2d(in_channels, 2 * taps, kernel, padding=padding)
        self.modulator_conv = nn.Conv2d(in_channels, taps, kernel, padding=padding)
        self.regular_conv = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False)

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        """(B, C, H, W) to (B, O, H, W)."""
        offset, mask = self.offset_and_mask(x)
        return deform_conv2d(x, offset, mask, self.regular_conv.weight, self.regular_conv.bias, relu)

    def offset_and_mask(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The offset and the mask of each pixel and tap, as `deform_conv2d` takes them."""
        return self.offset_conv(x), 2 * self.modulator_conv(x).sigmoid()
