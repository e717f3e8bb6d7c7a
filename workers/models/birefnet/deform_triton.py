"""Modulated deformable convolution as one CUDA kernel, written in Triton.

Each program computes a tile of output pixels and loops over the taps. For each tap it reads the four corners of each
pixel (rows of channels, contiguous in memory), blends them in registers and multiplies the tile with the tap's matrix.
Columns of gathered pixels never exist in memory. Coordinates, bilinear weights and sums are float32 for every dtype.

The five ASPPs of BiRefNet at 1024x1024 take 173 GFLOP of matrix products and read 2.7 GB of corners in float16. Each
feature map (8 MB at most) fits in the cache of a large GPU.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# (pixels, warps, stages) of a program. The sums for all output channels of its pixels stay in registers: 64 x 256 in
# float32 leave room for two programs on a multiprocessor, so that one multiplies while the other gathers. Compiled for
# compute capability 9.0 these load 16 bytes at a time without spilling (nine words with Triton 3.6). With three stages
# the corners go through shared memory and do not fit in it.
TILES = {torch.float16: (64, 4, 1), torch.bfloat16: (64, 4, 1), torch.float32: (32, 8, 1)}
_MIN_CHANNELS = 16  # of Triton's matrix product


# Compiled once for all image sizes: specialising on their divisors gives no better code for 9.0 with Triton 3.9.
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
    """One row per pixel: x (pixels, CHANNELS), offset (pixels, 2*taps) and mask (pixels, taps) with row strides
    offset_row and mask_row, weight (taps, CHANNELS, OUT), bias (OUT,), out (pixels, OUT)."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    exists = pixel < pixels
    column = pixel % width
    image_row = pixel // width
    row = image_row % height
    channel = tl.arange(0, CHANNELS)
    out_channel = tl.arange(0, OUT)
    offsets = offset + pixel.to(tl.int64) * offset_row
    masks = mask + pixel.to(tl.int64) * mask_row
    weights = weight + channel[:, None] * OUT + out_channel[None, :]
    total = tl.full((BLOCK, OUT), 0.0, tl.float32)
    for tap in range(KERNEL * KERNEL):
        modulation = tl.load(masks + tap, mask=exists, other=0.0).to(tl.float32)
        y_ = tl.load(offsets + 2 * tap, mask=exists, other=0.0).to(tl.float32)
        y_ += (row + tap // KERNEL - KERNEL // 2).to(tl.float32)
        x_ = tl.load(offsets + 2 * tap + 1, mask=exists, other=0.0).to(tl.float32)
        x_ += (column + tap % KERNEL - KERNEL // 2).to(tl.float32)
        # NaN compares as outside too; nothing outside becomes an address
        inside = (y_ > -1) & (y_ < height) & (x_ > -1) & (x_ < width) & exists
        y_, x_ = tl.where(inside, y_, 0.0), tl.where(inside, x_, 0.0)
        top, left = tl.floor(y_), tl.floor(x_)
        below, right = y_ - top, x_ - left
        top, left = top.to(tl.int32), left.to(tl.int32)
        top_row, bottom_row = inside & (top >= 0), inside & (top < height - 1)
        left_column, right_column = left >= 0, left < width - 1
        corner = x + (((image_row - row + top) * width + left) * CHANNELS)[:, None] + channel[None, :]
        a = tl.load(corner, mask=(top_row & left_column)[:, None], other=0.0).to(tl.float32)
        b = tl.load(corner + CHANNELS, mask=(top_row & right_column)[:, None], other=0.0).to(tl.float32)
        c = tl.load(corner + width * CHANNELS, mask=(bottom_row & left_column)[:, None], other=0.0).to(tl.float32)
        d = tl.load(corner + (width + 1) * CHANNELS, mask=(bottom_row & right_column)[:, None], other=0.0).to(
            tl.float32
        )
        above, below = (1 - below) * modulation, below * modulation
        blend = a * (above * (1 - right))[:, None] + b * (above * right)[:, None]
        blend += c * (below * (1 - right))[:, None] + d * (below * right)[:, None]
        matrix = tl.load(weights + tap * CHANNELS * OUT)
        total = tl.dot(blend.to(matrix.dtype), matrix, total, input_precision="ieee")
    if BIAS:
        total += tl.load(bias + out_channel).to(tl.float32)[None, :]
    if RELU:
        total = tl.where(total < 0, 0.0, total)  # keeps NaN
    outs = out + pixel.to(tl.int64)[:, None] * OUT + out_channel[None, :]
    tl.store(outs, total.to(out.dtype.element_ty), mask=exists[:, None])


def supports(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel can run: channel counts are powers of two from 16 up, and indices into x fit in 31 bits."""
    channels = weight.shape[:2]
    return all(n >= _MIN_CHANNELS and n & (n - 1) == 0 for n in channels) and x.numel() < 1 << 31


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    relu: bool = False,
    tile: tuple[int, int, int] | None = None,
) -> Tensor:
    """As `workers.models.birefnet.deform.deform_conv2d`, for inputs that `supports` takes. tile: overrides `TILES`."""
    batch, channels, height, width = x.shape
    out_channels, _, kernel, _ = weight.shape
    rows, offsets, masks = (_rows(t) for t in (x, offset, mask))
    rows = rows.contiguous()
    matrix = weight.permute(2, 3, 1, 0).contiguous()
    out = x.new_empty(batch, height, width, out_channels)
    block, warps, stages = tile or TILES[x.dtype]
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
    """(B, C, H, W) as (B, H, W, C) with contiguous channels and one stride between pixels; copied if necessary."""
    x = x.permute(0, 2, 3, 1)
    batch, height, width, _ = x.shape
    step = x.stride(2)
    uniform = x.stride(3) == 1 and x.stride(1) == width * step and (batch == 1 or x.stride(0) == height * width * step)
    return x if uniform else x.contiguous()
