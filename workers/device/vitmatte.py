"""Runs ViTMatte (Yao et al., 2023) of transformers on one device: batches of pictures and trimaps in, alphas out.

The preprocessing is that of the published processor, which needs torchvision. Knows nothing about frames.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from stream.picture.frames import Alpha, Plane
from workers.device.precision import best_device
from workers.weights.transformers_loading import load

_MEAN = _DEVIATION = 0.5  # of colours in 0-1, as in training
_FUSION = (256, 128, 64, 32)  # channels of the published networks
_STRIDE = 32  # both sides of the network's input are multiples of it


class VitMatte:
    """folder: the weights, as `save_pretrained` writes them. batch: the largest useful number of pictures per call.

    Computes in float32: the error of half precision has not been measured. Raises WeightsError on creation.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.device = best_device()
        torch.set_num_threads(threads)
        self._network = load(folder, "VitMatteForImageMatting", _with_sizes).to(self.device).eval()
        self.batch = 16 if self.device.type == "cuda" else 2  # on a CPU more take memory, but hardly less time

    @torch.inference_mode()
    def __call__(self, pictures: Plane, trimaps: Plane) -> Alpha:
        """float32 (B, h, w), 0-1, of pictures uint8 (B, h, w, 3) RGB and their trimaps uint8 (B, h, w)."""
        height, width = trimaps.shape[1:]
        alphas = self._network(pixel_values(pictures, trimaps, self.device)).alphas
        return np.asarray(alphas[:, 0, :height, :width].float().cpu().numpy(), np.float32)


def _with_sizes(config: dict[str, Any]) -> dict[str, Any]:
    """A `config.json` with the sizes of the fusion blocks. The default of transformers 5 is a tuple, which its network
    cannot use."""
    return {"fusion_hidden_sizes": list(_FUSION)} | config


def pixel_values(pictures: Plane, trimaps: Plane, device: torch.device) -> Tensor:
    """The network's input, float32 (B, 4, H, W): normalised colours, and the trimap in 0-1.

    pictures: uint8 (B, h, w, 3), RGB. trimaps: uint8 (B, h, w). H and W are multiples of 32, padded with zeros below
    and to the right.
    """
    colours = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float().div(255)
    known = torch.from_numpy(trimaps).to(device)[:, None].float().div(255)
    joined = torch.cat([(colours - _MEAN) / _DEVIATION, known], dim=1)
    below, right = (-side % _STRIDE for side in joined.shape[-2:])
    return pad(joined, (0, right, 0, below))
