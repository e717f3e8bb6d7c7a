"""The backbone's windowed attention against attention computed token by token."""

import itertools

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor

from workers.models.birefnet.swin import PatchMerging, SwinConfig, SwinTransformer, WindowAttention, partition, windows

CHANNELS = 64


def reference_attention(attention: WindowAttention, tokens: Tensor, window: int, shift: int) -> Tensor:
    """(H, W, C) to the same shape: the definition, one query at a time."""
    height, width, channels = tokens.shape
    down, right = -(-height // window) * window, -(-width // window) * window
    padded = torch.zeros(down, right, channels)
    padded[:height, :width] = tokens
    query, key, value = attention.qkv(padded).view(down, right, 3, attention.heads, -1).unbind(2)
    out = torch.zeros(height, width, channels)
    for y, x in itertools.product(range(height), range(width)):
        near = neighbours(y, x, down, right, window, shift)
        rows = [(y_off + window - 1) * (2 * window - 1) + x_off + window - 1 for _, _, y_off, x_off in near]
        bias = attention.relative_position_bias_table[rows]  # (near, heads)
        keys = torch.stack([key[j, i] for j, i, _, _ in near])
        values = torch.stack([value[j, i] for j, i, _, _ in near])
        scores = (query[y, x] * keys).sum(-1) / query.shape[-1] ** 0.5 + bias
        out[y, x] = (scores.softmax(0)[..., None] * values).sum(0).flatten()
    projected: Tensor = attention.proj(out)
    return projected


def neighbours(y: int, x: int, down: int, right: int, window: int, shift: int) -> list[tuple[int, int, int, int]]:
    """Tokens (y, x) that a token attends to, and its distance from them. None is across the edge of the map."""

    def along(position: int, size: int) -> list[tuple[int, int]]:
        rolled = (position - shift) % size
        first = rolled // window * window
        positions = [(n + shift) % size for n in range(first, first + window)]
        return [
            (other, rolled - n)
            for n, other in zip(range(first, first + window), positions, strict=True)
            if (other < shift) == (position < shift) or not shift
        ]

    return [(j, i, dy, dx) for (j, dy), (i, dx) in itertools.product(along(y, down), along(x, right))]


@torch.no_grad()
def random_attention(window: int, shift: int) -> WindowAttention:
    torch.manual_seed(window + shift)
    attention = WindowAttention(CHANNELS, window, shift)
    attention.relative_position_bias_table.normal_()
    attention.qkv.bias.normal_()
    return attention


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize(("height", "width"), [(8, 12), (5, 7), (4, 4), (3, 2), (1, 9)])
@torch.no_grad()
def test_windows_match_the_reference_attention(height: int, width: int, shift: int) -> None:
    attention = random_attention(4, shift)
    x = torch.randn(2, height, width, CHANNELS)
    out = attention(x.flatten(0, 2), partition(((2, height, width),), 4, shift, x.device)).view_as(x)
    expected = torch.stack([reference_attention(attention, each, 4, shift) for each in x])
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", [0, 2])
@torch.no_grad()
def test_maps_of_several_sizes_in_one_pass_match_each_alone(shift: int) -> None:
    attention = random_attention(4, shift)
    sizes = ((2, 8, 12), (2, 5, 7), (1, 3, 2))
    maps = [torch.randn(*size, CHANNELS).flatten(0, 2) for size in sizes]
    out = attention(torch.cat(maps), partition(sizes, 4, shift, maps[0].device))
    alone = [attention(x, partition((size,), 4, shift, x.device)) for x, size in zip(maps, sizes, strict=True)]
    torch.testing.assert_close(out, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_windows_are_cached_by_size() -> None:
    device = torch.device("cpu")
    first = windows(((1, 8, 12),), 4, 2, device)
    assert windows(((1, 8, 12),), 4, 2, device) is first
    assert windows(((1, 8, 12),), 4, 0, device) is not first


@torch.no_grad()
def test_merging_rounds_odd_sizes_up_and_pads_with_zeros() -> None:
    merging, x = PatchMerging(8), torch.randn(1, 5, 3, 8)
    padded = torch.zeros(1, 6, 4, 8)
    padded[:, :5, :3] = x
    assert merging(x).shape == (1, 3, 2, 16)
    torch.testing.assert_close(merging(x), merging(padded))


@torch.no_grad()
def random_backbone() -> SwinTransformer:
    torch.manual_seed(0)
    backbone = SwinTransformer(SwinConfig(32, (1, 2, 1, 1), 4)).eval()
    for parameter in backbone.parameters():
        parameter.normal_(0, 0.1)
    return backbone


@torch.no_grad()
def test_maps_halve_from_stage_to_stage() -> None:
    (maps,) = random_backbone()([torch.randn(1, 3, 48, 80)])
    assert [tuple(m.shape) for m in maps] == [(1, 32, 12, 20), (1, 64, 6, 10), (1, 128, 3, 5), (1, 256, 2, 3)]
    assert all(m.isfinite().all() for m in maps)


@torch.no_grad()
def test_images_of_two_sizes_in_one_pass_match_each_alone() -> None:
    backbone, whole = random_backbone(), torch.randn(2, 3, 64, 96)
    half = whole[:, :, ::2, ::2]
    together = backbone([whole, half])
    for maps, image in zip(together, (whole, half), strict=True):
        torch.testing.assert_close(maps, backbone([image])[0], rtol=1e-4, atol=1e-5)
