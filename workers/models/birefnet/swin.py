"""Swin Transformer, the backbone of BiRefNet: attention inside windows, shifted by half a window in every other block.

Images of several sizes go through in one pass: their tokens are concatenated, (tokens, C), throughout. Padding, rolling
and window partitioning are one gather of rows, whose indices are computed once from the sizes; the reverse is another.
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
    """embed: channels of the first stage; each stage doubles them. depths: blocks per stage. window: side in tokens."""

    embed: int
    depths: tuple[int, int, int, int]
    window: int

    @property
    def channels(self) -> tuple[int, int, int, int]:
        return self.embed, self.embed * 2, self.embed * 4, self.embed * 8


MapShape = tuple[int, int, int]
"""(batch, height, width) of the feature maps of one size, in tokens."""


@dataclass(frozen=True, eq=False)
class Windows:
    """The gather indices that partition the tokens of some feature maps into windows of N tokens, and their inverse.

    Positions outside a map read one extra token after the last. The windows are sorted by kind: interior, wrapped by
    the roll at the right, at the bottom, at both.

    gather: (windows*N,) rows of (tokens + 1). restore: (tokens,) rows of (windows*N). counts: windows of each kind.
    """

    gather: Tensor
    restore: Tensor
    counts: list[int]


def windows(maps: tuple[MapShape, ...], window: int, shift: int, device: torch.device) -> Windows:
    """The windows of all maps, rolled up and left by `shift`. Cached, so that the device does not wait for them.

    Not cached while the network is traced: the indices are symbolic then.
    """
    if torch.compiler.is_compiling():
        return partition(maps, window, shift, device)
    cached = _cached_partition(maps, window, shift, device)
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        _captured.add(cached)  # the CUDA graph holds their addresses: they must stay alive
    return cached


def partition(maps: tuple[MapShape, ...], window: int, shift: int, device: torch.device) -> Windows:
    """`windows` without the cache."""
    tokens = sum(batch * height * width for batch, height, width in maps)
    kinds: list[list[Tensor]] = [[], [], [], []]
    first = 0
    for batch, height, width in maps:
        index = _map_windows(height, width, window, shift, device)
        start = torch.arange(batch, device=device)[:, None, None, None, None] * (height * width) + first
        token = torch.where(index < height * width, index + start, tokens)  # (B, down, right, window, window)
        for kind, group in zip(kinds, _by_kind(token, shift > 0), strict=True):
            kind.append(group.reshape(-1, window * window))
        first += batch * height * width
    groups = [torch.cat(kind) for kind in kinds]
    gather = torch.cat(groups).flatten()
    return Windows(gather, _inverse(gather, tokens), [group.shape[0] for group in groups])


_cached_partition = functools.lru_cache(maxsize=128)(partition)  # 8 entries per image size
_captured: set[Windows] = set()


def _map_windows(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """The token index of each window position in one map, (down, right, window, window); height*width outside it."""
    down, right = -(-height // window), -(-width // window)
    y = (torch.arange(down * window, device=device) + shift) % (down * window)
    x = (torch.arange(right * window, device=device) + shift) % (right * window)
    inside = (y < height)[:, None] & (x < width)
    token = torch.where(inside, y[:, None] * width + x, height * width)
    return token.view(down, window, right, window).transpose(1, 2)


def _by_kind(token: Tensor, rolled: bool) -> list[Tensor]:
    """(B, down, right, ...) split by kind. Without a roll all windows are of the first kind."""
    if not rolled:
        return [token, token[:0], token[:0], token[:0]]
    return [token[:, :-1, :-1], token[:, :-1, -1:], token[:, -1:, :-1], token[:, -1:, -1:]]


def _inverse(gather: Tensor, tokens: int) -> Tensor:
    """The row of each token in the windows, (tokens,)."""
    row = torch.empty(tokens + 1, dtype=torch.int64, device=gather.device)
    return row.scatter(0, gather, torch.arange(gather.numel(), device=gather.device))[:tokens]


def relative_position_index(window: int, device: torch.device) -> Tensor:
    """int64 (N, N): the row of the bias table for each query and key of a window."""
    y = torch.arange(window, device=device).repeat_interleave(window)
    x = torch.arange(window, device=device).repeat(window)
    relative_y = y[:, None] - y + window - 1
    relative_x = x[:, None] - x + window - 1
    return relative_y * (2 * window - 1) + relative_x


def shift_mask(window: int, shift: int, device: torch.device) -> Tensor:
    """bool (4, N, N), for each kind of window: True where query and key are neighbours only because of the roll."""
    wrapped = torch.arange(window, device=device) >= window - shift
    y, x = wrapped.repeat_interleave(window), wrapped.repeat(window)
    across_y, across_x = y[:, None] != y, x[:, None] != x
    return torch.stack([torch.zeros_like(across_x), across_x, across_y, across_x | across_y])


def attend(qkv: Tensor, bias: Tensor) -> Tensor:
    """qkv: (windows, N, 3, heads, D). bias: (heads, N, N). Returns (windows, N, heads, D)."""
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
        self.cached_biases: Tensor | None
        self.register_buffer("cached_biases", None, persistent=False)  # set by `fuse.precompute_biases`

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        """(tokens, C) to the same shape. Padding takes part in the attention, as zero tokens."""
        qkv = self.qkv(F.pad(x, (0, 0, 0, 1))).index_select(0, windows.gather)
        qkv = qkv.view(-1, self.window**2, 3, self.heads, _HEAD_CHANNELS)
        parts = zip(qkv.split(windows.counts), self.biases(), strict=False)
        out = torch.cat([attend(part, bias) for part, bias in parts if part.shape[0]])
        return self.proj(out.view(-1, x.shape[1]).index_select(0, windows.restore))

    def biases(self) -> Tensor:
        """(4 or 1, heads, N, N), added to the attention scores of each kind of window."""
        if self.cached_biases is not None:
            return self.cached_biases
        table = self.relative_position_bias_table
        bias = table[relative_position_index(self.window, table.device)].permute(2, 0, 1)[None]
        if not self.shift:
            return bias
        return bias.masked_fill(shift_mask(self.window, self.shift, table.device)[:, None], float("-inf"))


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
        """(tokens, C) to the same shape."""
        x = x + self.attn(self.norm1(x), windows)
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """Halves height and width and doubles the channels."""

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
        """Each map (B, H, W, C) to the same shape, and to the next stage's input (B, H/2, W/2, 2C)."""
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

    def forward(self, images: Sequence[Tensor]) -> list[list[Tensor]]:
        """For each (B, 3, H, W), H and W multiples of 4, the maps (B, C, H/4, W/4) … (B, 8C, H/32, W/32).

        Odd sizes are rounded up at each stage. The maps are channels-last in memory.
        """
        maps: list[list[Tensor]] = [[] for _ in images]
        x = [self.patch_embed(image) for image in images]
        for stage, norm in zip(self.layers, (self.norm0, self.norm1, self.norm2, self.norm3), strict=True):
            outs, x = stage(x)
            for pyramid, out in zip(maps, outs, strict=True):
                pyramid.append(norm(out).permute(0, 3, 1, 2))
        return maps
