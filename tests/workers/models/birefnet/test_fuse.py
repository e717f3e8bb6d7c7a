"""Rewrites for speed change the output only by rounding."""

from collections.abc import Callable
from functools import cache

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from tests.workers.models.birefnet.networks import difference, image, lite, run
from workers.models.birefnet import fuse
from workers.models.birefnet.decoder import DeformableASPP, ImageBlock
from workers.models.birefnet.deform import DeformableConv2d
from workers.models.birefnet.fused import CollapsedImageBlock, MergedDeformableConv2d, PointwisePair, SummedASPP
from workers.models.birefnet.network import BiRefNet
from workers.models.birefnet.swin import WindowAttention

PATCHES = "bb.patch_embed.proj.weight"
REWRITES = [
    fuse.fold_batch_norms,
    fuse.merge_offsets,
    fuse.precompute_biases,
    fuse.shrink_head,
    fuse.sum_aspp_branches,
    fuse.fuse,
    fuse.channels_last,
]


def kinds(model: nn.Module) -> set[type]:
    return {type(module) for module in model.modules()}


SIZES = {(32, 32): (1, 2), (96, 160): (1,)}  # (height, width) and the seeds of the images of that size


@cache
def plain(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, and the plain network's logits of them."""
    x = torch.cat([image(height, width, seed) for seed in SIZES[height, width]])
    return x, run(lite(), x)


@pytest.mark.long
@pytest.mark.parametrize("rewrite", REWRITES)
def test_each_rewrite_gives_the_same_logits(rewrite: Callable[[BiRefNet], BiRefNet]) -> None:
    for size in SIZES:
        x, expected = plain(*size)
        assert difference(run(rewrite(lite()), x), expected) <= 1e-5


@pytest.mark.long
@pytest.mark.parametrize(("height", "width"), [(224, 224), pytest.param(384, 640, marks=pytest.mark.slow)])
def test_all_together_at_other_sizes(height: int, width: int) -> None:
    x = image(height, width)
    assert difference(run(fuse.fuse(lite()), x), run(lite(), x)) <= 1e-4


@pytest.mark.long
@pytest.mark.parametrize("rewrite", REWRITES)
def test_the_input_network_is_not_modified(rewrite: Callable[[BiRefNet], BiRefNet]) -> None:
    before, types = {key: t.clone() for key, t in lite().state_dict().items()}, [type(m) for m in lite().modules()]
    rewrite(lite()).to(torch.bfloat16)
    after = lite().state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())
    assert [type(m) for m in lite().modules()] == types
    assert all(m.cached_biases is None for m in lite().modules() if isinstance(m, WindowAttention))


@pytest.mark.long
def test_unchanged_parameters_are_shared() -> None:
    weights = [model.get_parameter("bb.layers.3.blocks.0.mlp.fc1.weight") for model in (lite(), fuse.fuse(lite()))]
    assert weights[0].data_ptr() == weights[1].data_ptr()


@pytest.mark.long
def test_nothing_is_left_to_fuse() -> None:
    aspps = [m for m in fuse.fuse(lite()).modules() if isinstance(m, SummedASPP)]
    assert len(aspps) == 5
    assert all(m.pair is not None and len(m.branches) == 2 for m in aspps)
    assert not kinds(fuse.fuse(lite())) & {nn.BatchNorm2d, DeformableASPP, DeformableConv2d}
    attentions = [m for m in fuse.fuse(lite()).modules() if isinstance(m, WindowAttention)]
    assert attentions
    assert all(m.cached_biases is not None for m in attentions)


@torch.no_grad()
def test_two_1x1_deformable_convolutions_share_their_offset_convolution() -> None:
    torch.manual_seed(0)
    one, two = (DeformableConv2d(16, 4, 1) for _ in range(2))
    x = torch.randn(2, 16, 5, 7)
    pair = PointwisePair(MergedDeformableConv2d(one), MergedDeformableConv2d(two))
    for actual, expected in zip(pair(x, relu=True), (one(x).relu(), two(x).relu()), strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.long
def test_weights_of_deformable_convolutions_stay_ordered_by_tap() -> None:
    model = fuse.channels_last(fuse.fuse(lite()))
    taps = [m.regular_conv.weight for m in model.modules() if isinstance(m, MergedDeformableConv2d)]
    assert taps
    assert all(weight.permute(2, 3, 1, 0).is_contiguous() for weight in taps)
    assert model.get_parameter(PATCHES).is_contiguous(memory_format=torch.channels_last)
    assert not lite().get_parameter(PATCHES).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (4, 9), (32, 20)])
@torch.no_grad()
def test_the_collapsed_image_block_is_correct_at_the_edges(height: int, width: int) -> None:
    torch.manual_seed(0)
    plain = ImageBlock(3, 2)
    x = torch.randn(2, 3, height, width)
    torch.testing.assert_close(CollapsedImageBlock(plain)(x), plain(x))
