"""Modulated deformable convolution: in plain torch for every device and dtype, by a kernel of our own on CUDA.

Each output pixel reads the input at places of its own: every tap of its kernel is moved by an offset, read
bilinearly and scaled by a mask. The conventions are torchvision's. Stride 1, dilation 1, one group of offsets.
"""

import functools
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Elements of the gathered columns held at a time: on a CPU they stay in its caches, and 1024x1024 takes no gigabytes.
_CHUNK_CPU = 1 << 20
_CHUNK = 1 << 27


def deform_conv2d(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """Convolve `x` where `offset` moves the taps; padded by half a kernel, zero outside the picture.

    x: (B, C, H, W). offset: (B, 2*k*k, H, W) in pixels, (y, x) per tap. mask: (B, k*k, H, W). weight: (O, C, k, k),
    k odd. bias: (O,). relu: what is below zero becomes zero. Gives (B, O, H, W) in the dtype of x, in channels-last
    memory. For inference: no gradients.
    """
    fused = kernels() if x.is_cuda else None
    if fused is not None and fused.fits(x, weight):
        out: Tensor = fused.deform_conv2d(x, offset, mask, weight, bias, relu)
        return out
    out = gathered(x, offset, mask, weight, bias)
    return out.relu_() if relu else out


@functools.cache
def kernels() -> ModuleType | None:
    """The module with the CUDA kernel, or None where there is no Triton."""
    try:
        from workers.models.birefnet import deform_triton
    except ImportError:
        return None
    return deform_triton


def gathered(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`deform_conv2d` in plain torch: columns of gathered pixels, some lines at a time, and a matrix product."""
    batch, _, height, width = x.shape
    out_channels, in_channels, kernel, _ = weight.shape
    taps = kernel * kernel
    pixels = _bordered(x)
    matrix = weight.permute(2, 3, 1, 0).reshape(taps * in_channels, out_channels)
    # lines of all pictures in one row: (B*H, W, ...)
    offset = offset.permute(0, 2, 3, 1).contiguous().view(batch * height, width, taps, 2)
    mask = mask.permute(0, 2, 3, 1).contiguous().view(batch * height, width, taps)
    step = _lines_at_a_time(x, taps)
    out = x.new_empty(batch * height * width, out_channels)
    for first in range(0, batch * height, step):
        index, share = _corners(offset[first : first + step], mask[first : first + step], kernel, height, first)
        columns = F.embedding_bag(index, pixels, per_sample_weights=share.to(x.dtype), mode="sum")
        columns = columns.view(-1, taps * in_channels)
        place = out[first * width : (first + step) * width]
        torch.mm(columns, matrix, out=place) if bias is None else torch.addmm(bias, columns, matrix, out=place)
    return out.view(batch, height, width, out_channels).permute(0, 3, 1, 2)


def _bordered(x: Tensor) -> Tensor:
    """(B, C, H, W) to one row per pixel, (B*(H+3)*(W+3), C), with a border of zeros.

    One line before and two after: whatever is read outside the picture lies on them, so no corner needs a check.
    """
    return F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 2, 1, 2)).reshape(-1, x.shape[1])


def _lines_at_a_time(x: Tensor, taps: int) -> int:
    chunk = _CHUNK_CPU if x.device.type == "cpu" else _CHUNK
    return max(1, chunk // (x.shape[1] * x.shape[3] * taps))


def _corners(offset: Tensor, mask: Tensor, kernel: int, height: int, first: int) -> tuple[Tensor, Tensor]:
    """The four pixels around each tap and their shares: int64 and float32, both (lines*W*taps, 4).

    offset: (lines, W, taps, 2), mask: (lines, W, taps); `first` is the number of the first line, `height` that of
    the lines in one picture. Always in float32: bfloat16 cannot even count the columns of a picture beyond 256.
    """
    lines, width = offset.shape[:2]
    line = torch.arange(first, first + lines, device=offset.device)
    tap = torch.arange(kernel * kernel, device=offset.device)
    rest_y = (line % height)[:, None, None] + (tap // kernel - kernel // 2)
    rest_x = torch.arange(width, device=offset.device)[:, None] + (tap % kernel - kernel // 2)
    top, below = _split(offset[..., 0].float() + rest_y, height)
    left, right = _split(offset[..., 1].float() + rest_x, width)
    stride = width + 3
    picture = torch.div(line, height, rounding_mode="floor")[:, None, None] * (height + 3)
    index = (picture + top + 1) * stride + left + 1
    around = torch.arange(2, device=offset.device)  # made on the device: a copy would end the capture of a CUDA graph
    around = (around[:, None] * stride + around).flatten()
    upper, lower = (1 - below) * mask, below * mask
    share = torch.stack([upper * (1 - right), upper * right, lower * (1 - right), lower * right], -1)
    return (index[..., None] + around).view(-1, 4), share.view(-1, 4)


def _split(place: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Whole part (int64) and fraction of places along an axis of `size` pixels.

    Places beyond -1 and `size` read zeros wherever they are, so they are moved there: an index must not leave the
    picture, not even for an offset that is not a number.
    """
    place = place.nan_to_num(nan=-1.0).clamp(-1, size)
    whole = place.floor()
    return whole.long(), place - whole


class DeformableConv2d(nn.Module):
    """A deformable convolution that finds its own offsets and mask."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        taps, padding = kernel * kernel, kernel // 2
        self.offset_conv = nn.Conv2d(in_channels, 2 * taps, kernel, padding=padding)
        self.modulator_conv = nn.Conv2d(in_channels, taps, kernel, padding=padding)
        self.regular_conv = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False)

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        """(B, C, H, W) to (B, O, H, W)."""
        offset, mask = self.places(x)
        return deform_conv2d(x, offset, mask, self.regular_conv.weight, self.regular_conv.bias, relu)

    def places(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The offset and the mask of each pixel and tap."""
        return self.offset_conv(x), 2 * self.modulator_conv(x).sigmoid()
