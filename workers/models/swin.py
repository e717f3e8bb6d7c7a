"""Swin Transformer, the backbone of BiRefNet: attention inside windows, shifted by half a window in every other block.

Tokens stay (B, H*W, C) throughout. Padding, rolling and cutting into windows are one look-up of rows, worked out
once per stage from its size; putting the windows back is another.
"""

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


@dataclass(frozen=True)
class Windows:
    """How the tokens of a batch go into windows and back.

    Places beyond the picture are filled from one extra token after the last of each picture. The windows are sorted
    by kind: inside, cut by the roll at the right, at the bottom, at both; all pictures of the batch per window.

    take: (windows*B*N,) rows of (B*(H*W+1)). back: (B*H*W,) rows of (windows*B*N). kinds: batch entries per kind.
    """

    take: Tensor
    back: Tensor
    kinds: list[int]


def cut(batch: int, height: int, width: int, window: int, shift: int, device: torch.device) -> Windows:
    """The windows of `batch` maps of height x width tokens, rolled up and left by `shift`."""
    down, right = -(-height // window), -(-width // window)
    y = (torch.arange(down * window, device=device) + shift) % (down * window)
    x = (torch.arange(right * window, device=device) + shift) % (right * window)
    inside = (y < height)[:, None] & (x < width)
    token = torch.where(inside, y[:, None] * width + x, height * width)
    token = token.view(down, window, right, window).transpose(1, 2)  # (down, right, window, window)
    groups = _by_kind(token, shift > 0)
    token = torch.cat([group.reshape(-1, 1, window * window) for group in groups])
    take = token + torch.arange(batch, device=device)[:, None] * (height * width + 1)
    kinds = [group.shape[0] * group.shape[1] * batch for group in groups]
    return Windows(take.flatten(), _inverse(take.flatten(), batch, height * width), kinds)


def _by_kind(token: Tensor, rolled: bool) -> list[Tensor]:
    """(down, right, ...) apart by kind. Without a roll all are of the first kind."""
    if not rolled:
        return [token, token[:0], token[:0], token[:0]]
    return [token[:-1, :-1], token[:-1, -1:], token[-1:, :-1], token[-1:, -1:]]


def _inverse(take: Tensor, batch: int, tokens: int) -> Tensor:
    """Where each real token of each picture ended up, (batch*tokens,)."""
    place = torch.empty(batch * (tokens + 1), dtype=torch.int64, device=take.device)
    place = place.scatter(0, take, torch.arange(take.numel(), device=take.device))
    return place.view(batch, tokens + 1)[:, :tokens].flatten()


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
        """(B, H*W, C) to the same. Padded places take part, as tokens of zeros."""
        batch, tokens, channels = x.shape
        area = self.window**2
        qkv = self.qkv(F.pad(x, (0, 0, 0, 1))).view(batch * (tokens + 1), 3 * channels)
        qkv = qkv.index_select(0, windows.take).view(-1, area, 3, self.heads, _HEAD_CHANNELS)
        parts = zip(qkv.split(windows.kinds), self.biases(), strict=False)
        out = torch.cat([attend(part, bias) for part, bias in parts if part.shape[0]])
        return self.proj(out.view(-1, channels).index_select(0, windows.back).view_as(x))

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
        """(B, H*W, C) to the same."""
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

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, C) to the same, and to the next stage's (B, H/2, W/2, 2C)."""
        batch, height, width, _ = x.shape
        layouts = [cut(batch, height, width, self.window, s, x.device) for s in (0, self.window // 2)]
        tokens = x.flatten(1, 2)
        for n, block in enumerate(self.blocks):
            tokens = block(tokens, layouts[n % 2])
        x = tokens.view_as(x)
        return x, self.downsample(x)


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

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W multiples of 4, to the maps (B, C, H/4, W/4) … (B, 8C, H/32, W/32).

        Odd sizes on the way are rounded up. The maps are channels-last in memory.
        """
        maps = []
        x = self.patch_embed(x)
        for stage, norm in zip(self.layers, (self.norm0, self.norm1, self.norm2, self.norm3), strict=True):
            out, x = stage(x)
            maps.append(norm(out).permute(0, 3, 1, 2))
        return maps
