"""Modulated deformable convolution as one kernel for CUDA, written in Triton.

A program takes a tile of output pixels and goes through the taps. For each it reads the four corners of each pixel,
rows of channels that lie side by side in memory, blends them in registers and multiplies the tile with that tap's
matrix. Columns of gathered pixels never exist in memory. Coordinates, shares and sums are float32 whatever the data.

For the five pyramids of BiRefNet at 1024x1024 that is, by count, 173 GFLOP of matrix products and 2.7 GB of corners in
float16, of which any one map (8 MB at most) stays in the cache of a large GPU.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Pixels, warps and stages of a program. It keeps the sums for all output channels of its pixels in registers: 64 x 256
# in float32 leave room for two programs on a multiprocessor, so that one multiplies while the other gathers. Compiled
# for compute capability 9.0 these take 16 bytes a load and spill nothing (nine words with Triton 3.6); with three
# stages corners go by way of shared memory, more than there is.
TILE = {torch.float16: (64, 4, 1), torch.bfloat16: (64, 4, 1), torch.float32: (32, 8, 1)}
_FEWEST = 16  # channels that Triton's matrix product takes


# Compiled once for pictures of all sizes: told what divides those, Triton 3.9 makes no better code for 9.0.
@triton.jit(do_not_specialize=["pixels", "height", "width"])  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    x,
    offset,
    mask,
    weight,
    bias,
    out,
    pixels,
    height,
    width,
    offset_row,
    mask_row,
    KERNEL: tl.constexpr,  # noqa: N803
    CHANNELS: tl.constexpr,  # noqa: N803
    OUT: tl.constexpr,  # noqa: N803
    BIAS: tl.constexpr,  # noqa: N803
    RELU: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """One row per pixel: x (pixels, CHANNELS), offset (pixels, 2*taps) and mask (pixels, taps) with rows apart by
    offset_row and mask_row, weight (taps, CHANNELS, OUT), bias (OUT,), out (pixels, OUT)."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    exists = pixel < pixels
    column = pixel % width
    line = pixel // width
    row = line % height
    channel = tl.arange(0, CHANNELS)
    out_channel = tl.arange(0, OUT)
    offsets = offset + pixel.to(tl.int64) * offset_row
    masks = mask + pixel.to(tl.int64) * mask_row
    weights = weight + channel[:, None] * OUT + out_channel[None, :]
    total = tl.full((BLOCK, OUT), 0.0, tl.float32)
    for tap in range(KERNEL * KERNEL):
        share = tl.load(masks + tap, mask=exists, other=0.0).to(tl.float32)
        y = tl.load(offsets + 2 * tap, mask=exists, other=0.0).to(tl.float32)
        y += (row + tap // KERNEL - KERNEL // 2).to(tl.float32)
        z = tl.load(offsets + 2 * tap + 1, mask=exists, other=0.0).to(tl.float32)
        z += (column + tap % KERNEL - KERNEL // 2).to(tl.float32)
        # what is no number is not inside either, and nothing outside becomes an address
        inside = (y > -1) & (y < height) & (z > -1) & (z < width) & exists
        y, z = tl.where(inside, y, 0.0), tl.where(inside, z, 0.0)
        top, left = tl.floor(y), tl.floor(z)
        below, right = y - top, z - left
        top, left = top.to(tl.int32), left.to(tl.int32)
        upper, lower = inside & (top >= 0), inside & (top < height - 1)
        near, far = left >= 0, left < width - 1
        corner = x + (((line - row + top) * width + left) * CHANNELS)[:, None] + channel[None, :]
        a = tl.load(corner, mask=(upper & near)[:, None], other=0.0).to(tl.float32)
        b = tl.load(corner + CHANNELS, mask=(upper & far)[:, None], other=0.0).to(tl.float32)
        c = tl.load(corner + width * CHANNELS, mask=(lower & near)[:, None], other=0.0).to(tl.float32)
        d = tl.load(corner + (width + 1) * CHANNELS, mask=(lower & far)[:, None], other=0.0).to(tl.float32)
        above, below = (1 - below) * share, below * share
        blend = a * (above * (1 - right))[:, None] + b * (above * right)[:, None]
        blend += c * (below * (1 - right))[:, None] + d * (below * right)[:, None]
        matrix = tl.load(weights + tap * CHANNELS * OUT)
        total = tl.dot(blend.to(matrix.dtype), matrix, total, input_precision="ieee")
    if BIAS:
        total += tl.load(bias + out_channel).to(tl.float32)[None, :]
    if RELU:
        total = tl.where(total < 0, 0.0, total)  # what is no number stays none
    places = out + pixel.to(tl.int64)[:, None] * OUT + out_channel[None, :]
    tl.store(places, total.to(out.dtype.element_ty), mask=exists[:, None])


def fits(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel can do it: channels are powers of two from 16 on, and places of values are 31 bits."""
    sides = weight.shape[:2]
    return all(n >= _FEWEST and n & (n - 1) == 0 for n in sides) and x.numel() < 1 << 31


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    relu: bool = False,
    tile: tuple[int, int, int] | None = None,
) -> Tensor:
    """As `workers.models.birefnet.deform.deform_conv2d`, for what `fits`. tile: if not that of `TILE`."""
    batch, channels, height, width = x.shape
    out_channels, _, kernel, _ = weight.shape
    rows, offsets, masks = (_rows(t) for t in (x, offset, mask))
    rows = rows.contiguous()
    matrix = weight.permute(2, 3, 1, 0).contiguous()
    out = x.new_empty(batch, height, width, out_channels)
    block, warps, stages = tile or TILE[x.dtype]
    pixels = batch * height * width
    _kernel[(triton.cdiv(pixels, block),)](
        rows,
        offsets,
        masks,
        matrix,
        bias,
        out,
        pixels,
        height,
        width,
        offsets.stride(2),
        masks.stride(2),
        KERNEL=kernel,
        CHANNELS=channels,
        OUT=out_channels,
        BIAS=bias is not None,
        RELU=relu,
        BLOCK=block,
        num_warps=warps,
        num_stages=stages,
        enable_fp_fusion=True,
    )
    return out.permute(0, 3, 1, 2)


def _rows(x: Tensor) -> Tensor:
    """(B, H, W, C) with channels side by side and pixels at equal distances, copied if they are not."""
    x = x.permute(0, 2, 3, 1)
    batch, height, width, _ = x.shape
    step = x.stride(2)
    even = x.stride(3) == 1 and x.stride(1) == width * step and (batch == 1 or x.stride(0) == height * width * step)
    return x if even else x.contiguous()
