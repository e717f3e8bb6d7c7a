"""Exact rewrites of a loaded BiRefNet, for speed: each gives a network that computes the same in fewer steps.

The networks given are left as they are; what a rewrite does not change is shared with them. Rewrites work in
float32: convert to half precision after them, not before.
"""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn

from workers.models.birefnet.decoder import Branch, DecoderBlock, DeformableASPP, ImageBlock
from workers.models.birefnet.deform import DeformableConv2d
from workers.models.birefnet.fused import CollapsedImageBlock, MergedDeformableConv2d, Sum, SummedASPP, bias_of, conv2d
from workers.models.birefnet.network import BiRefNet
from workers.models.birefnet.swin import WindowAttention


def fuse(model: BiRefNet) -> BiRefNet:
    """All rewrites of this file, once."""
    return sum_pyramids(shrink_head(precompute_biases(merge_offsets(fold_batch_norms(model)))))


def fold_batch_norms(model: BiRefNet) -> BiRefNet:
    """Every batch norm goes into the convolution before it."""
    model = _copy(model)
    for module in list(model.modules()):
        if isinstance(module, DecoderBlock):
            _fold(module, "conv_in", "bn_in")
            _fold(module, "conv_out", "bn_out")
        elif isinstance(module, DeformableASPP):
            _fold(module, "conv1", "bn1")
        elif isinstance(module, Branch):
            _fold(module, "atrous_conv.regular_conv", "bn")
        elif isinstance(module, nn.Sequential):
            for name, following in pairwise(list(dict(module.named_children()))):
                _fold(module, name, following)
    return model


def merge_offsets(model: BiRefNet) -> BiRefNet:
    """The offsets and the mask of each deformable convolution come out of one convolution."""
    model = _copy(model)
    for branch in [m for m in model.modules() if isinstance(m, Branch)]:
        if isinstance(branch.atrous_conv, DeformableConv2d):
            branch.atrous_conv = MergedDeformableConv2d(branch.atrous_conv)
    return model


def precompute_biases(model: BiRefNet) -> BiRefNet:
    """Position biases and masks of the attention are laid out once, instead of in each call.

    They are those of the four kinds of window, whatever the size of the picture.
    """
    model = _copy(model)
    for attention in [m for m in model.modules() if isinstance(m, WindowAttention)]:
        attention.laid_out = attention.biases().contiguous()
    return model


def shrink_head(model: BiRefNet) -> BiRefNet:
    """The last convolution, 1x1 and linear, is applied before the last upsampling instead of after it.

    So it merges with the linear layers before it, and what is resized to the full picture is one channel. Weights of
    bilinear resizing add up to one, so its bias may go through it as well.
    """
    model = fold_batch_norms(model)
    decoder, block, image = model.decoder, model.decoder.decoder_block1, model.decoder.ipt_blk1
    assert isinstance(image, ImageBlock)
    weight, bias = decoder.get_parameter("conv_out1.0.weight"), decoder.get_parameter("conv_out1.0.bias")
    to_block, to_image = torch.split(weight.flatten(1), [block.conv_out.out_channels, image.conv_out.out_channels], 1)
    block.conv_out = _then(block.conv_out, to_block, bias)
    image.conv_out = _then(image.conv_out, to_image, torch.zeros_like(bias))
    decoder.ipt_blk1 = CollapsedImageBlock(image)
    decoder.conv_out1 = Sum()
    return model


def sum_pyramids(model: BiRefNet) -> BiRefNet:
    """The branches of each pyramid are reduced one by one, instead of being laid side by side."""
    model = fold_batch_norms(model)
    for block in [m for m in model.modules() if isinstance(m, DecoderBlock)]:
        if isinstance(block.dec_att, DeformableASPP):
            block.dec_att = SummedASPP(block.dec_att)
    return model


def channels_last(model: BiRefNet) -> BiRefNet:
    """Convolutions with their weights in the order that a GPU reads them in, beside maps that lie channels-last.

    Else they are reordered in each call. Not part of `fuse`: a CPU's library has orders of its own.
    """
    model = _copy(model)
    by_tap = {m.regular_conv for m in model.modules() if isinstance(m, MergedDeformableConv2d)}
    for conv in [m for m in model.modules() if isinstance(m, nn.Conv2d) and m not in by_tap]:
        weight = conv.weight.to(memory_format=torch.channels_last)
        conv.weight = nn.Parameter(weight, requires_grad=False)
    return model


def _copy(model: BiRefNet) -> BiRefNet:
    """New modules and parameters around the same memory: converting one does not convert the other."""
    shared = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()}
    return copy.deepcopy(model, shared | {id(b): b for b in model.buffers()})


def _fold(parent: nn.Module, conv: str, norm: str) -> None:
    after = parent.get_submodule(norm)
    if isinstance(after, nn.BatchNorm2d):  # or it was folded before
        parent.set_submodule(conv, _folded(parent.get_submodule(conv), after))
        parent.set_submodule(norm, nn.Identity())


def _folded(conv: nn.Module, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution for a convolution and the batch norm after it, worked out in float64."""
    assert isinstance(conv, nn.Conv2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = (bias_of(conv).double() - norm.running_mean.double()) * scale + norm.bias.double()
    return conv2d((conv.weight.double() * scale[:, None, None, None]).float(), bias.float())


def _then(conv: nn.Conv2d, matrix: Tensor, bias: Tensor) -> nn.Conv2d:
    """One convolution for a convolution and the product with `matrix`, (out, between), plus `bias`, after it."""
    matrix = matrix.double()
    weight = torch.einsum("ob,bikl->oikl", matrix, conv.weight.double())
    return conv2d(weight.float(), (matrix @ bias_of(conv).double() + bias.double()).float())
