"""Swin Transformer, the backbone of BiRefNet: attention inside windows, shifted by half a window in every other block.

Pictures of several sizes go through together: their tokens lie one after the other, (rows, C), throughout. Padding,
rolling and cutting into windows are one look-up of rows, worked out once from the sizes; putting the windows back is
another.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_HEAD_CHANNELS = 32
_PATCH_PX = 4


@dataclass(frozen=True)
class SwinConfig:
    """embed: channels of the first stage, doubled by each. depths: blocks per stage. window: its side in tokens."""

    embed: int
    depths: tuple[int, int, int, int]
    window: int

    @property
    def channels(self) -> tuple[int, int, int, int]:
        return self.embed, self.embed * 2, self.embed * 4, self.embed * 8


Map = tuple[int, int, int]
"""The pictures of one size: how many, height and width in tokens."""


@dataclass(frozen=True, eq=False)
class Windows:
    """How the tokens of some maps go into windows and back.

    Places beyond a picture are filled from one extra token after the last of all. The windows are sorted by kind:
    inside, cut by the roll at the right, at the bottom, at both.

    take: (windows*N,) rows of (tokens + 1). back: (tokens,) rows of (windows*N). kinds: windows of each.
    """

    take: Tensor
    back: Tensor
    kinds: list[int]


def windows(maps: tuple[Map, ...], window: int, shift: int, device: torch.device) -> Windows:
    """The windows of all maps, rolled up and left by `shift`. Kept from call to call: a device must not wait for them.

    Not while a graph of the network is traced: there they are no numbers yet.
    """
    if torch.compiler.is_compiling():
        return cut(maps, window, shift, device)
    found = _kept(maps, window, shift, device)
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        _captured.add(found)  # the graph knows their addresses: they must stay
    return found


def cut(maps: tuple[Map, ...], window: int, shift: int, device: torch.device) -> Windows:
    """`windows`, worked out anew."""
    tokens = sum(batch * height * width for batch, height, width in maps)
    kinds: list[list[Tensor]] = [[], [], [], []]
    first = 0
    for batch, height, width in maps:
        one = _cut_one(height, width, window, shift, device)
        picture = torch.arange(batch, device=device)[:, None, None, None, None] * (height * width) + first
        token = torch.where(one < height * width, one + picture, tokens)  # (B, down, right, window, window)
        for kind, group in zip(kinds, _by_kind(token, shift > 0), strict=True):
            kind.append(group.reshape(-1, window * window))
        first += batch * height * width
    groups = [torch.cat(kind) for kind in kinds]
    take = torch.cat(groups).flatten()
    return Windows(take, _inverse(take, tokens), [group.shape[0] for group in groups])


_kept = functools.lru_cache(maxsize=128)(cut)  # 8 for each size of picture
_captured: set[Windows] = set()


def _cut_one(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """The token of each place, (down, right, window, window), height*width where there is none."""
    down, right = -(-height // window), -(-width // window)
    y = (torch.arange(down * window, device=device) + shift) % (down * window)
    x = (torch.arange(right * window, device=device) + shift) % (right * window)
    inside = (y < height)[:, None] & (x < width)
    token = torch.where(inside, y[:, None] * width + x, height * width)
    return token.view(down, window, right, window).transpose(1, 2)


def _by_kind(token: Tensor, rolled: bool) -> list[Tensor]:
    """(B, down, right, ...) apart by kind. Without a roll all are of the first kind."""
    if not rolled:
        return [token, token[:0], token[:0], token[:0]]
    return [token[:, :-1, :-1], token[:, :-1, -1:], token[:, -1:, :-1], token[:, -1:, -1:]]


def _inverse(take: Tensor, tokens: int) -> Tensor:
    """Where each token ended up, (tokens,)."""
    place = torch.empty(tokens + 1, dtype=torch.int64, device=take.device)
    return place.scatter(0, take, torch.arange(take.numel(), device=take.device))[:tokens]


def relative_position_index(window: int, device: torch.device) -> Tensor:
    """int64 (N, N): the row of the bias table for each query and key of a window."""
    y = torch.arange(window, device=device).repeat_interleave(window)
    x = torch.arange(window, device=device).repeat(window)
    apart_y = y[:, None] - y + window - 1
    apart_x = x[:, None] - x + window - 1
    return apart_y * (2 * window - 1) + apart_x


def separated(window: int, shift: int, device: torch.device) -> Tensor:
    """bool (4, N, N): which query and key of a window only the roll brought together, for each kind of window."""
    wrapped = torch.arange(window, device=device) >= window - shift
    y, x = wrapped.repeat_interleave(window), wrapped.repeat(window)
    across_y, across_x = y[:, None] != y, x[:, None] != x
    return torch.stack([torch.zeros_like(across_x), across_x, across_y, across_x | across_y])


def attend(qkv: Tensor, bias: Tensor) -> Tensor:
    """qkv: (windows, N, 3, heads, D). bias: (heads, N, N). Gives (windows, N, heads, D)."""
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None]).transpose(1, 2)


class WindowAttention(nn.Module):
    """Multi-head attention inside each window, with a learned bias for each relative position."""

    def __init__(self, channels: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.heads = channels // _HEAD_CHANNELS
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, self.heads))
        self.qkv = nn.Linear(channels, channels * 3)
        self.proj = nn.Linear(channels, channels)
        self.laid_out: Tensor | None
        self.register_buffer("laid_out", None, persistent=False)  # what `biases` gives, for who wants it only once

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        """(rows, C) to the same. Padded places take part, as tokens of zeros."""
        qkv = self.qkv(F.pad(x, (0, 0, 0, 1))).index_select(0, windows.take)
        qkv = qkv.view(-1, self.window**2, 3, self.heads, _HEAD_CHANNELS)
        parts = zip(qkv.split(windows.kinds), self.biases(), strict=False)
        out = torch.cat([attend(part, bias) for part, bias in parts if part.shape[0]])
        return self.proj(out.view(-1, x.shape[1]).index_select(0, windows.back))

    def biases(self) -> Tensor:
        """(4 or 1, heads, N, N), added to the scores of each kind of window."""
        if self.laid_out is not None:
            return self.laid_out
        table = self.relative_position_bias_table
        bias = table[relative_position_index(self.window, table.device)].permute(2, 0, 1)[None]
        if not self.shift:
            return bias
        return bias.masked_fill(separated(self.window, self.shift, table.device)[:, None], float("-inf"))


class Mlp(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels * 4)
        self.fc2 = nn.Linear(channels * 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    def __init__(self, channels: int, window: int, shift: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, window, shift)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        """(rows, C) to the same."""
        x = x + self.attn(self.norm1(x), windows)
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """Half the size, twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(channels * 4, channels * 2, bias=False)
        self.norm = nn.LayerNorm(channels * 4)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H/2, W/2, 2C), odd sizes rounded up."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduction(self.norm(torch.cat(corners, -1)))


class Stage(nn.Module):
    def __init__(self, channels: int, depth: int, window: int, last: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(SwinBlock(channels, window, n % 2 * (window // 2)) for n in range(depth))
        self.downsample = nn.Identity() if last else PatchMerging(channels)

    def forward(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Each (B, H, W, C) to the same, and to the next stage's (B, H/2, W/2, 2C)."""
        sizes = tuple((x.shape[0], x.shape[1], x.shape[2]) for x in maps)
        layouts = [windows(sizes, self.window, shift, maps[0].device) for shift in (0, self.window // 2)]
        tokens = torch.cat([x.flatten(0, 2) for x in maps])
        for n, block in enumerate(self.blocks):
            tokens = block(tokens, layouts[n % 2])
        parts = torch.split(tokens, [math.prod(x.shape[:3]) for x in maps])
        out = [part.view_as(x) for part, x in zip(parts, maps, strict=True)]
        return out, [self.downsample(x) for x in out]


class PatchEmbed(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, _PATCH_PX, stride=_PATCH_PX)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, H/4, W/4, C)."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class SwinTransformer(nn.Module):
    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config.embed)
        stages = zip(config.channels, config.depths, range(4), strict=True)
        self.layers = nn.ModuleList(Stage(c, depth, config.window, n == 3) for c, depth, n in stages)
        self.norm0, self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(c) for c in config.channels)

    def forward(self, pictures: Sequence[Tensor]) -> list[list[Tensor]]:
        """For each (B, 3, H, W), H and W multiples of 4, the maps (B, C, H/4, W/4) … (B, 8C, H/32, W/32).

        Odd sizes on the way are rounded up. The maps are channels-last in memory.
        """
        maps: list[list[Tensor]] = [[] for _ in pictures]
        x = [self.patch_embed(picture) for picture in pictures]
        for stage, norm in zip(self.layers, (self.norm0, self.norm1, self.norm2, self.norm3), strict=True):
            outs, x = stage(x)
            for found, out in zip(maps, outs, strict=True):
                found.append(norm(out).permute(0, 3, 1, 2))
        return maps
