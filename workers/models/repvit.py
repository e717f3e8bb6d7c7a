"""RepViT, the convolutional backbone of EdgeTAM: a picture in, feature maps at strides 4, 8, 16 and 32 out.

transformers takes it from the package timm, which needs torchvision. The modules are named as there, so that published
weights fit. Inference only. Paper: RepViT: Revisiting Mobile CNN From ViT Perspective, arXiv 2307.09283.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

_EXPANSION = 2  # of a block's hidden channels
_SQUEEZE, _MULTIPLE = 4, 8  # reduction of the channels that weigh channels, rounded to a multiple


class RepVit(nn.Module):
    """channels, depths: of the stages; M1 has 48, 96, 192, 384 and 2, 2, 14, 2."""

    def __init__(self, channels: Sequence[int] = (48, 96, 192, 384), depths: Sequence[int] = (2, 2, 14, 2)) -> None:
        super().__init__()
        self.stem = Stem(channels[0])
        before = (None, *channels[:-1])
        for number, (inputs, outputs, depth) in enumerate(zip(before, channels, depths, strict=True)):
            self.add_module(f"stages_{number}", Stage(inputs, outputs, depth))
        self._stages = [f"stages_{number}" for number in range(len(channels))]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, h, w) to one (B, channels, h / stride, w / stride) per stage."""
        x, maps = self.stem(x), []
        for name in self._stages:
            x = self.get_submodule(name)(x)
            maps.append(x)
        return maps


class Stage(nn.Module):
    """inputs: channels of the stage before; None for the first stage, which does not halve the resolution."""

    def __init__(self, inputs: int | None, outputs: int, depth: int) -> None:
        super().__init__()
        self.downsample = nn.Identity() if inputs is None else Downsample(inputs, outputs)
        self.blocks = nn.Sequential(*(Block(outputs, squeezes=index % 2 == 0) for index in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class Block(nn.Module):
    def __init__(self, channels: int, squeezes: bool) -> None:
        super().__init__()
        self.token_mixer = TokenMixer(channels)
        self.se = SqueezeExcite(channels) if squeezes else nn.Identity()
        self.channel_mixer = ChannelMixer(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.se(self.token_mixer(x))
        return x + self.channel_mixer(x)


class TokenMixer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = convolution(channels, channels, 3, groups=channels)
        self.conv1 = convolution(channels, channels, 1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.conv1(x) + x


class ChannelMixer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels, _EXPANSION * channels, 1)
        self.act = nn.GELU()
        self.conv2 = convolution(_EXPANSION * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.act(self.conv1(x)))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = squeezed(channels)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu())
        return x * weights.sigmoid()


class Stem(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = convolution(3, channels // 2, 3, stride=2)
        self.act1 = nn.GELU()
        self.conv2 = convolution(channels // 2, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.act1(self.conv1(x)))


class Downsample(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pre_block = Block(inputs, squeezes=False)
        self.spatial_downsample = convolution(inputs, inputs, 3, stride=2, groups=inputs)
        self.channel_downsample = convolution(inputs, outputs, 1)
        self.ffn = ChannelMixer(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        return x + self.ffn(x)


def convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the picture's size but for the stride, and batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(c=conv, bn=nn.BatchNorm2d(outputs)))


def squeezed(channels: int) -> int:
    """A quarter of the channels, rounded to a multiple of 8 that is at least 8."""
    return max(_MULTIPLE, int(channels / _SQUEEZE + _MULTIPLE / 2) // _MULTIPLE * _MULTIPLE)
