"""The BiRefNet engine without its network: cropping, memory and foreground estimation are the engine's own.

In place of the network's output it uses the scene's ground truth, with a faint alpha where the stripes are.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from stream.records.options import Options
from stream.settings import Settings
from tests.end_to_end.camera_scene import STRIPES, inside, matte
from workers.edges import foreground
from workers.engines.birefnet import Birefnet, Item
from workers.weights import birefnet_hub
from workers.weights.known import Say

_FAINT = 0.09  # below the threshold for a part of the subject


class Looking(Birefnet):
    batch, device = 1, "test"

    def __init__(self, options: Options, settings: Settings, say: Say) -> None:
        self._checkpoint, _ = birefnet_hub.parse("general@320x256")
        self._device = torch.device("cpu")
        self.recurrent = self._follow = options.roi
        self.smoother = None
        self._wants_foreground = foreground.should_estimate(options, soft=True)

    def _matted(self, items: Sequence[Item]) -> list[Item]:
        return [replace(item, alpha=_truth(*item.input.size)[item.box.slices]) for item in items]


def _truth(height: int, width: int) -> torch.Tensor:
    alpha = matte(height, width)
    alpha[inside(STRIPES, height, width)] = _FAINT
    return torch.from_numpy(alpha)
