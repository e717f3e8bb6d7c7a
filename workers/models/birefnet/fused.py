"""The modules with which `fuse` replaces those of the plain network: the same functions, in fewer steps."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.models.birefnet.decoder import DeformableASPP, ImageBlock
from workers.models.birefnet.deform import DeformableConv2d, deform_conv2d

_CHANNEL_ALIGNMENT = 8

OffsetMask = tuple[Tensor, Tensor]
"""Offset and mask, as `deform_conv2d` takes them."""


class MergedDeformableConv2d(nn.Module):
    """`DeformableConv2d` with one convolution for its offsets and its mask.

    That convolution is padded with zero channels to a multiple of eight, for the GPU's matrix units.
    """

    def __init__(self, plain: DeformableConv2d) -> None:
        super().__init__()
        parts = plain.offset_conv, plain.modulator_conv
        self.split_sizes = [part.out_channels for part in parts]
        self.split_sizes.append(-sum(self.split_sizes) % _CHANNEL_ALIGNMENT)
        self.offset_mask_conv = _concatenated(parts)
        self.regular_conv = conv2d(_by_tap(plain.regular_conv.weight), bias_of(plain.regular_conv))

    def forward(self, x: Tensor, relu: bool = False, offset_mask: OffsetMask | None = None) -> Tensor:
        """(B, C, H, W) to (B, O, H, W). offset_mask: the result of `offset_and_mask`, if it is known."""
        offset, mask = offset_mask or self.offset_and_mask(x)
        return deform_conv2d(x, offset, mask, self.regular_conv.weight, self.regular_conv.bias, relu)

    def offset_and_mask(self, x: Tensor) -> OffsetMask:
        """The offset and the mask of each pixel and tap."""
        return self.split(self.offset_mask_conv(x))

    def split(self, merged: Tensor) -> OffsetMask:
        """The output of `offset_mask_conv` as offset and mask."""
        offset, mask, _ = torch.split(merged, self.split_sizes, 1)
        return offset, 2 * mask.sigmoid()


class PointwisePair(nn.Module):
    """Two 1x1 deformable convolutions with the same input, and one convolution for the offsets and masks of both."""

    def __init__(self, first: MergedDeformableConv2d, second: MergedDeformableConv2d) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.split_sizes = [sum(first.split_sizes), sum(second.split_sizes)]
        self.offset_mask_conv = _concatenated([first.offset_mask_conv, second.offset_mask_conv])

    def forward(self, x: Tensor, relu: bool = False) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) to (B, O, H, W), twice."""
        one, two = torch.split(self.offset_mask_conv(x), self.split_sizes, 1)
        return self.first(x, relu, self.first.split(one)), self.second(x, relu, self.second.split(two))


class SummedASPP(nn.Module):
    """`DeformableASPP` without batch norms, whose branches are projected and added one by one, not concatenated."""

    def __init__(self, plain: DeformableASPP) -> None:
        super().__init__()
        branches = [branch.get_submodule("atrous_conv") for branch in (plain.aspp1, *plain.aspp_deforms)]
        first, second, *others = branches
        paired = isinstance(first, MergedDeformableConv2d) and isinstance(second, MergedDeformableConv2d)
        self.pair = PointwisePair(first, second) if paired else None
        self.branches = nn.ModuleList(others if paired else branches)
        self.global_avg_pool = plain.global_avg_pool
        matrix = plain.conv1.weight.flatten(1).t().contiguous()  # (5 * branch, out)
        self.matrix = nn.Parameter(matrix.view(len(branches) + 1, -1, matrix.shape[1]), requires_grad=False)
        self.bias = nn.Parameter(bias_of(plain.conv1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        batch, _, height, width = x.shape
        mean = torch.addmm(self.bias, self.global_avg_pool(x).flatten(1), self.matrix[-1])
        total = mean.repeat_interleave(height * width, 0)
        for branch, matrix in zip(self._maps(x), self.matrix, strict=False):
            pixels = branch.permute(0, 2, 3, 1).reshape(-1, matrix.shape[0])
            total = torch.addmm(total, pixels, matrix)
        return F.relu(total).view(batch, height, width, -1).permute(0, 3, 1, 2)

    def _maps(self, x: Tensor) -> Iterator[Tensor]:
        """The output of each branch, (B, O, H, W), one at a time."""
        if self.pair is not None:
            yield from self.pair(x, relu=True)
        for branch in self.branches:
            yield branch(x, relu=True)


class CollapsedImageBlock(nn.Module):
    """`ImageBlock` as one 5x5 convolution, with the outermost pixels computed by the plain block.

    There the two differ: the plain block pads with zeros between its convolutions.
    """

    def __init__(self, plain: ImageBlock) -> None:
        super().__init__()
        self.plain = plain
        self.conv = conv2d(_composed(plain.conv1.weight, plain.conv_out.weight), _composed_bias(plain))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, H, W), H and W at least 3."""
        out: Tensor = self.conv(x)
        out[:, :, 0], out[:, :, -1] = self.plain(x[:, :, :3])[:, :, 0], self.plain(x[:, :, -3:])[:, :, -1]
        out[..., 0], out[..., -1] = self.plain(x[..., :3])[..., 0], self.plain(x[..., -3:])[..., -1]
        return out


class Sum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 1, H, W)."""
        return x.sum(1, keepdim=True)


def conv2d(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution with this weight and bias, padded by half its kernel, without random initialisation."""
    out_channels, in_channels, kernel, _ = weight.shape
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, device="meta")
    conv.weight, conv.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
    return conv.eval()


def _concatenated(convs: Sequence[nn.Conv2d]) -> nn.Conv2d:
    """One convolution for several with the same input, padded with zero channels to a multiple of eight."""
    weight, bias = torch.cat([conv.weight for conv in convs]), torch.cat([bias_of(conv) for conv in convs])
    padding = (0, -len(bias) % _CHANNEL_ALIGNMENT)
    return conv2d(F.pad(weight, (0, 0, 0, 0, 0, 0, *padding)), F.pad(bias, padding))


def _by_tap(weight: Tensor) -> Tensor:
    """(O, C, k, k), stored in memory as one matrix (C, O) per tap, as the deformable convolution reads it."""
    return weight.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)


def bias_of(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias


def _composed(first: Tensor, second: Tensor) -> Tensor:
    """The kernel (O, I, 5, 5) of a convolution by (M, I, 3, 3) followed by one by (O, M, 3, 3), computed in float64.

    Kernels compose by convolution, and torch's conv2d is a correlation, hence the flip.
    """
    channels_first = first.double().transpose(0, 1)  # (I, M, 3, 3)
    weight = F.conv2d(channels_first, second.double().flip(2, 3), padding=2)  # (I, O, 5, 5)
    return weight.transpose(0, 1).float().contiguous()


def _composed_bias(plain: ImageBlock) -> Tensor:
    first = plain.conv_out.weight.double().sum((2, 3)) @ bias_of(plain.conv1).double()
    return (first + bias_of(plain.conv_out).double()).float()
