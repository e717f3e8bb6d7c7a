"""The decoder of BiRefNet: from the deepest feature map to full size, with the input image injected at every scale."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.models.birefnet.deform import DeformableConv2d

_INNER = 64
_BRANCH = 256
_GRADIENT = 16


def resize(x: Tensor, like: Tensor) -> Tensor:
    """(B, C, h, w) resized to the size of `like`, (…, H, W): bilinear, with corners aligned."""
    if x.shape[2:] == like.shape[2:]:
        return x
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)


def patches(image: Tensor, like: Tensor) -> Tensor:
    """Split the image into patches of the size of `like`, stacked as channels: (B, 3, H, W) to (B, 3*H/h*W/w, h, w)."""
    batch, channels, height, width = image.shape
    h, w = like.shape[2:]
    grid = image.reshape(batch, channels, height // h, h, width // w, w).transpose(3, 4)
    return grid.reshape(batch, -1, h, w)


class Branch(nn.Module):
    """One kernel size of the ASPP."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.atrous_conv: nn.Module = DeformableConv2d(channels, _BRANCH, kernel)
        self.bn: nn.Module = nn.BatchNorm2d(_BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.atrous_conv(x)))


class DeformableASPP(nn.Module):
    """Atrous spatial pyramid pooling with deformable convolutions of several kernel sizes and a global average."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.aspp1 = Branch(channels, 1)
        self.aspp_deforms = nn.ModuleList(Branch(channels, kernel) for kernel in (1, 3, 7))
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, _BRANCH, 1, bias=False), nn.BatchNorm2d(_BRANCH), nn.ReLU()
        )
        self.conv1 = nn.Conv2d(_BRANCH * 5, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        mean = self.global_avg_pool(x).expand(-1, -1, *x.shape[2:])
        branches = [self.aspp1(x), *(branch(x) for branch in self.aspp_deforms), mean]
        return F.relu(self.bn1(self.conv1(torch.cat(branches, 1))))


class DecoderBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, _INNER, 3, padding=1)
        self.bn_in = nn.BatchNorm2d(_INNER)
        self.dec_att: nn.Module = DeformableASPP(_INNER)
        self.conv_out = nn.Conv2d(_INNER, out_channels, 3, padding=1)
        self.bn_out = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dec_att(F.relu(self.bn_in(self.conv_in(x))))
        return self.bn_out(self.conv_out(x))


class ImageBlock(nn.Module):
    """Features of the input image for the decoder. There is no activation between the two convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, _INNER, 3, padding=1)
        self.conv_out = nn.Conv2d(_INNER, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv1(x))


class Lateral(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Decoder(nn.Module):
    """channels: of the input feature maps, finest first. Submodule names and shapes match the published checkpoints."""

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        c1, c2, c3, c4 = channels
        self.ipt_blk5 = ImageBlock(3 * 32 * 32, c4 // 8)
        self.ipt_blk4 = ImageBlock(3 * 16 * 16, c4 // 8)
        self.ipt_blk3 = ImageBlock(3 * 8 * 8, c3 // 8)
        self.ipt_blk2 = ImageBlock(3 * 4 * 4, c2 // 8)
        self.ipt_blk1: nn.Module = ImageBlock(3, c1 // 8)
        self.decoder_block4 = DecoderBlock(c4 + c4 // 8, c3)
        self.decoder_block3 = DecoderBlock(c3 + c4 // 8, c2)
        self.decoder_block2 = DecoderBlock(c2 + c3 // 8, c1)
        self.decoder_block1 = DecoderBlock(c1 + c2 // 8, c1 // 2)
        self.lateral_block4, self.lateral_block3, self.lateral_block2 = Lateral(c3), Lateral(c2), Lateral(c1)
        self.conv_out1: nn.Module = nn.Sequential(nn.Conv2d(c1 // 2 + c1 // 8, 1, 1))
        self._add_gradient_attention(c1, c2, c3)

    def _add_gradient_attention(self, c1: int, c2: int, c3: int) -> None:
        """`conv_ms_spvn_*` and `gdt_convs_pred_*` are used only in training; they exist so that checkpoints load."""
        self.gdt_convs_4, self.gdt_convs_3, self.gdt_convs_2 = (_gradient_conv(c) for c in (c3, c2, c1))
        self.gdt_convs_attn_4, self.gdt_convs_attn_3, self.gdt_convs_attn_2 = (_to_one_channel() for _ in range(3))
        self.gdt_convs_pred_4, self.gdt_convs_pred_3, self.gdt_convs_pred_2 = (_to_one_channel() for _ in range(3))
        self.conv_ms_spvn_4, self.conv_ms_spvn_3, self.conv_ms_spvn_2 = (nn.Conv2d(c, 1, 1) for c in (c3, c2, c1))

    def forward(self, image: Tensor, maps: list[Tensor]) -> Tensor:
        """image: (B, 3, H, W). maps: (B, c1, H/4, W/4) … (B, c4, H/32, W/32), four. Returns logits (B, 1, H, W)."""
        x1, x2, x3, x4 = maps
        p = self.decoder_block4(torch.cat([x4, self.ipt_blk5(patches(image, x4))], 1))
        p = p * self.gdt_convs_attn_4(self.gdt_convs_4(p)).sigmoid()
        p = resize(p, x3) + self.lateral_block4(x3)

        p = self.decoder_block3(torch.cat([p, self.ipt_blk4(patches(image, x3))], 1))
        p = p * self.gdt_convs_attn_3(self.gdt_convs_3(p)).sigmoid()
        p = resize(p, x2) + self.lateral_block3(x2)

        p = self.decoder_block2(torch.cat([p, self.ipt_blk3(patches(image, x2))], 1))
        p = p * self.gdt_convs_attn_2(self.gdt_convs_2(p)).sigmoid()
        p = resize(p, x1) + self.lateral_block2(x1)

        p = self.decoder_block1(torch.cat([p, self.ipt_blk2(patches(image, x1))], 1))
        return self.conv_out1(torch.cat([resize(p, image), self.ipt_blk1(image)], 1))


def _gradient_conv(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, _GRADIENT, 3, padding=1), nn.BatchNorm2d(_GRADIENT), nn.ReLU())


def _to_one_channel() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(_GRADIENT, 1, 1))
