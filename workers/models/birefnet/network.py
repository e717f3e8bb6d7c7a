"""BiRefNet: one foreground logit per pixel of an image.

One backbone encodes the image twice, at full and at half size; one decoder takes both. Submodule names are those of
the published checkpoints, so that these load unchanged.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stream.errors import WeightsError
from workers.models.birefnet.decoder import Decoder, DecoderBlock, resize
from workers.models.birefnet.swin import SwinConfig, SwinTransformer

STRIDE = 32  # height and width must be multiples of it

Tensors = Mapping[str, Tensor | npt.NDArray[np.generic]]

# Backbones by the channels of their first stage. Swin-T and Swin-S have the same.
_BACKBONES = {
    96: SwinConfig(96, (2, 2, 6, 2), 7),  # Swin-T
    128: SwinConfig(128, (2, 2, 18, 2), 12),  # Swin-B
    192: SwinConfig(192, (2, 2, 18, 2), 12),  # Swin-L
}
_SWIN_S = SwinConfig(96, (2, 2, 18, 2), 7)
_IGNORED = ("relative_position_index", "num_batches_tracked")  # follow from the sizes, or are used only in training
_EMBED = "bb.patch_embed.proj.weight"
_DEEP = "bb.layers.2.blocks.6."  # in Swin-S, but not in Swin-T
_MAX_LISTED = 3  # keys that an error message lists


class BiRefNet(nn.Module):
    def __init__(self, backbone: SwinConfig) -> None:
        super().__init__()
        c1, c2, c3, c4 = (2 * c for c in backbone.channels)
        self.bb = SwinTransformer(backbone)
        self.squeeze_module = nn.Sequential(DecoderBlock(c1 + c2 + c3 + c4, c4))
        self.decoder = Decoder((c1, c2, c3, c4))

    @classmethod
    def from_state_dict(cls, tensors: Tensors) -> "BiRefNet":
        """The network of a checkpoint, in float32 and ready for inference. float32 tensors are shared, not copied.

        Raises WeightsError for missing tensors, unknown tensors and wrong shapes.
        """
        weights = {key: _tensor(key, value) for key, value in tensors.items() if not key.endswith(_IGNORED)}
        with torch.device("meta"):
            model = cls(_backbone(weights))
        expected = {key: t for key, t in model.state_dict().items() if not key.endswith(_IGNORED)}
        _check(weights, expected)
        counters = {key: torch.tensor(0) for key in model.state_dict().keys() - expected.keys()}
        model.load_state_dict(weights | counters, assign=True)
        return model.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W), normalised, H and W multiples of 32. Returns logits (B, 1, H, W) in the same dtype."""
        if x.shape[2] % STRIDE or x.shape[3] % STRIDE:
            raise ValueError(f"{x.shape[3]}x{x.shape[2]} is not a multiple of {STRIDE}")
        x1, x2, x3, x4 = self._encode(x)
        context = [resize(finer, x4) for finer in (x1, x2, x3)]
        x4 = self.squeeze_module(torch.cat([*context, x4], 1))
        return self.decoder(x, [x1, x2, x3, x4])

    def _encode(self, x: Tensor) -> list[Tensor]:
        """Feature maps at 1/4 … 1/32 of the image size, those of the full and of the half-size image concatenated."""
        size = (x.shape[2] // 2, x.shape[3] // 2)
        half = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
        pairs = zip(*self._backbone_maps([x, half]), strict=True)
        return [torch.cat([whole, resize(small, whole)], 1) for whole, small in pairs]

    def _backbone_maps(self, images: list[Tensor]) -> list[list[Tensor]]:
        """The feature maps of each image. One pass on a GPU halves the launches; one by one suits the CPU's caches.

        Measured on a CPU in bfloat16, Swin-T at 512x512: in one pass the backbone takes 4 % longer.
        """
        if images[0].is_cuda:
            return self.bb(images)
        return [maps for image in images for maps in self.bb([image])]


def _tensor(key: str, value: Tensor | npt.NDArray[np.generic]) -> Tensor:
    tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.require(value, requirements="W"))
    if not tensor.is_floating_point():
        raise WeightsError(f"not BiRefNet weights: {key} has dtype {tensor.dtype}".replace("torch.", ""))
    return tensor.detach().float()


def _backbone(tensors: Mapping[str, Tensor]) -> SwinConfig:
    """The backbone of the tensors. It must be a known one: a truncated file must not pass for a smaller backbone."""
    if _EMBED not in tensors:
        raise WeightsError(f"not BiRefNet weights: {_EMBED} is missing")
    config = _BACKBONES.get(tensors[_EMBED].shape[0] if tensors[_EMBED].ndim else 0)
    if config is None:
        raise WeightsError(f"not weights of a known BiRefNet: {_EMBED} is {_shape(tensors[_EMBED])}")
    deep = any(key.startswith(_DEEP) for key in tensors)
    return _SWIN_S if config.embed == _SWIN_S.embed and deep else config


def _check(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise WeightsError, listing the first few, for missing or unknown tensors and wrong shapes."""
    both = [(key, weights[key], expected[key]) for key in expected if key in weights]
    faults = {
        "missing": [key for key in expected if key not in weights],
        "unknown": [key for key in weights if key not in expected],
        "of the wrong shape": [f"{k} {_shape(t)}, not {_shape(e)}" for k, t, e in both if t.shape != e.shape],
    }
    if any(faults.values()):
        parts = [f"{len(keys)} {fault} ({_first_few(keys)})" for fault, keys in faults.items() if keys]
        raise WeightsError(f"not BiRefNet weights: {'; '.join(parts)}")


def _first_few(keys: list[str]) -> str:
    return ", ".join(keys[:_MAX_LISTED]) + (", …" if len(keys) > _MAX_LISTED else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"
