"""Exact rewrites of a loaded BiRefNet, for speed: each returns a network that computes the same in fewer steps.

The input network is not modified; unchanged parameters are shared with it. Rewrites work in float32: convert to half
precision afterwards.
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
    """All device-independent rewrites of this file."""
    return sum_aspp_branches(shrink_head(precompute_biases(merge_offsets(fold_batch_norms(model)))))


def fold_batch_norms(model: BiRefNet) -> BiRefNet:
    """Fold every batch norm into the convolution before it."""
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
    """Predict the offsets and the mask of each deformable convolution with one convolution."""
    model = _copy(model)
    for branch in [m for m in model.modules() if isinstance(m, Branch)]:
        if isinstance(branch.atrous_conv, DeformableConv2d):
            branch.atrous_conv = MergedDeformableConv2d(branch.atrous_conv)
    return model


def precompute_biases(model: BiRefNet) -> BiRefNet:
    """Compute the position biases and masks of the attention once, instead of in each call.

    They depend on the four kinds of window, not on the image size.
    """
    model = _copy(model)
    for attention in [m for m in model.modules() if isinstance(m, WindowAttention)]:
        attention.cached_biases = attention.biases().contiguous()
    return model


def shrink_head(model: BiRefNet) -> BiRefNet:
    """Apply the last convolution, 1x1 and linear, before the last upsampling instead of after it.

    It then merges with the linear layers before it, and only one channel is resized to full size. Bilinear weights
    add up to one, so the bias can be added before resizing too.
    """
    model = fold_batch_norms(model)
    decoder, block, image = model.decoder, model.decoder.decoder_block1, model.decoder.ipt_blk1
    assert isinstance(image, ImageBlock)
    weight, bias = decoder.get_parameter("conv_out1.0.weight"), decoder.get_parameter("conv_out1.0.bias")
    to_block, to_image = torch.split(weight.flatten(1), [block.conv_out.out_channels, image.conv_out.out_channels], 1)
    block.conv_out = _composed_with_matrix(block.conv_out, to_block, bias)
    image.conv_out = _composed_with_matrix(image.conv_out, to_image, torch.zeros_like(bias))
    decoder.ipt_blk1 = CollapsedImageBlock(image)
    decoder.conv_out1 = Sum()
    return model


def sum_aspp_branches(model: BiRefNet) -> BiRefNet:
    """Project and add the branches of each ASPP one by one, instead of concatenating them."""
    model = fold_batch_norms(model)
    for block in [m for m in model.modules() if isinstance(m, DecoderBlock)]:
        if isinstance(block.dec_att, DeformableASPP):
            block.dec_att = SummedASPP(block.dec_att)
    return model


def channels_last(model: BiRefNet) -> BiRefNet:
    """Store convolution weights channels-last, as GPUs read them for channels-last feature maps.

    Otherwise they are reordered in each call. Not part of `fuse`: CPU libraries use their own layouts.
    """
    model = _copy(model)
    by_tap = {m.regular_conv for m in model.modules() if isinstance(m, MergedDeformableConv2d)}
    for conv in [m for m in model.modules() if isinstance(m, nn.Conv2d) and m not in by_tap]:
        weight = conv.weight.to(memory_format=torch.channels_last)
        conv.weight = nn.Parameter(weight, requires_grad=False)
    return model


def _copy(model: BiRefNet) -> BiRefNet:
    """New modules and parameters that share memory with the model's: converting one does not convert the other."""
    shared = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()}
    return copy.deepcopy(model, shared | {id(b): b for b in model.buffers()})


def _fold(parent: nn.Module, conv: str, norm: str) -> None:
    batch_norm = parent.get_submodule(norm)
    if isinstance(batch_norm, nn.BatchNorm2d):  # otherwise it has been folded already
        parent.set_submodule(conv, _folded(parent.get_submodule(conv), batch_norm))
        parent.set_submodule(norm, nn.Identity())


def _folded(conv: nn.Module, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution for a convolution and the batch norm after it, computed in float64."""
    assert isinstance(conv, nn.Conv2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = (bias_of(conv).double() - norm.running_mean.double()) * scale + norm.bias.double()
    return conv2d((conv.weight.double() * scale[:, None, None, None]).float(), bias.float())


def _composed_with_matrix(conv: nn.Conv2d, matrix: Tensor, bias: Tensor) -> nn.Conv2d:
    """One convolution for a convolution followed by a product with `matrix`, (out, between), and adding `bias`."""
    matrix = matrix.double()
    weight = torch.einsum("ob,bikl->oikl", matrix, conv.weight.double())
    return conv2d(weight.float(), (matrix @ bias_of(conv).double() + bias.double()).float())
