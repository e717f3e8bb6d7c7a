"""BiRefNet: one logit for each pixel of a picture, of belonging to its subject.

Reads the picture twice with one backbone, whole and at half size, and decodes both together. Names of parts are
those of the published checkpoints, so that these load as they are.
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

STRIDE = 32  # height and width are multiples of it

Tensors = Mapping[str, Tensor | npt.NDArray[np.generic]]

# Backbones by the channels of their first stage. Swin-T and Swin-S share theirs.
_BACKBONES = {
    96: SwinConfig(96, (2, 2, 6, 2), 7),  # Swin-T
    128: SwinConfig(128, (2, 2, 18, 2), 12),  # Swin-B
    192: SwinConfig(192, (2, 2, 18, 2), 12),  # Swin-L
}
_SWIN_S = SwinConfig(96, (2, 2, 18, 2), 7)
_COUNTERS = ("relative_position_index", "num_batches_tracked")  # follow from the sizes, or serve training alone
_EMBED = "bb.patch_embed.proj.weight"
_DEEP = "bb.layers.2.blocks.6."  # where Swin-S goes on and Swin-T ends
_NAMED = 3  # keys that an error names


class BiRefNet(nn.Module):
    def __init__(self, backbone: SwinConfig) -> None:
        super().__init__()
        c1, c2, c3, c4 = (2 * c for c in backbone.channels)
        self.bb = SwinTransformer(backbone)
        self.squeeze_module = nn.Sequential(DecoderBlock(c1 + c2 + c3 + c4, c4))
        self.decoder = Decoder((c1, c2, c3, c4))

    @classmethod
    def from_state_dict(cls, tensors: Tensors) -> "BiRefNet":
        """The network of a checkpoint, in float32 and ready to infer. float32 tensors are shared, not copied.

        Raises WeightsError unless every tensor that is needed is there, of its size, and none besides.
        """
        given = {key: _tensor(key, value) for key, value in tensors.items() if not key.endswith(_COUNTERS)}
        with torch.device("meta"):
            model = cls(_backbone(given))
        expected = {key: t for key, t in model.state_dict().items() if not key.endswith(_COUNTERS)}
        _check(given, expected)
        counters = {key: torch.tensor(0) for key in model.state_dict().keys() - expected.keys()}
        model.load_state_dict(given | counters, assign=True)
        return model.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W), normalised, H and W multiples of 32. Gives logits (B, 1, H, W) in the same dtype."""
        if x.shape[2] % STRIDE or x.shape[3] % STRIDE:
            raise ValueError(f"{x.shape[3]}x{x.shape[2]} is not a multiple of {STRIDE}")
        x1, x2, x3, x4 = self._encode(x)
        context = [resize(finer, x4) for finer in (x1, x2, x3)]
        x4 = self.squeeze_module(torch.cat([*context, x4], 1))
        return self.decoder(x, [x1, x2, x3, x4])

    def _encode(self, x: Tensor) -> list[Tensor]:
        """Maps at 1/4 … 1/32 of the picture's size, those of the picture and of its half side by side."""
        size = (x.shape[2] // 2, x.shape[3] // 2)
        half = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
        pairs = zip(*self._backbone_maps([x, half]), strict=True)
        return [torch.cat([whole, resize(small, whole)], 1) for whole, small in pairs]

    def _backbone_maps(self, pictures: list[Tensor]) -> list[list[Tensor]]:
        """Of each picture. In one pass on a GPU: half the launches; one by one on a CPU, whose caches they fit better.

        Measured on a CPU in bfloat16, Swin-T at 512x512: together the backbone takes 4 % longer.
        """
        if pictures[0].is_cuda:
            return self.bb(pictures)
        return [maps for picture in pictures for maps in self.bb([picture])]


def _tensor(key: str, value: Tensor | npt.NDArray[np.generic]) -> Tensor:
    tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.require(value, requirements="W"))
    if not tensor.is_floating_point():
        raise WeightsError(f"not weights of BiRefNet: {key} holds {tensor.dtype}".replace("torch.", ""))
    return tensor.detach().float()


def _backbone(tensors: Mapping[str, Tensor]) -> SwinConfig:
    """The backbone that the tensors were made for. A known one: a file cut short must not pass for a smaller one."""
    if _EMBED not in tensors:
        raise WeightsError(f"not weights of BiRefNet: {_EMBED} is missing")
    config = _BACKBONES.get(tensors[_EMBED].shape[0] if tensors[_EMBED].ndim else 0)
    if config is None:
        raise WeightsError(f"not weights of a known BiRefNet: {_EMBED} is {_size(tensors[_EMBED])}")
    deep = any(key.startswith(_DEEP) for key in tensors)
    return _SWIN_S if config.embed == _SWIN_S.embed and deep else config


def _check(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise WeightsError, naming the first few, for what is missing, unknown or of another size."""
    both = [key for key in expected if key in given]
    sizes = [f"{k} {_size(given[k])}, not {_size(expected[k])}" for k in both if given[k].shape != expected[k].shape]
    faults = {
        "missing": [key for key in expected if key not in given],
        "unknown": [key for key in given if key not in expected],
        "of another size": sizes,
    }
    if any(faults.values()):
        words = [f"{len(keys)} {fault} ({_few(keys)})" for fault, keys in faults.items() if keys]
        raise WeightsError(f"not weights of BiRefNet: {'; '.join(words)}")


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:_NAMED]) + (", …" if len(keys) > _NAMED else "")


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
