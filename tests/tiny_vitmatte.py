"""A ViTMatte with few, random weights, as a folder that `save_pretrained` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

_LIBRARY: Any = transformers  # whose types are incomplete


def tiny_vitmatte(folder: Path, fusion: Sequence[int] = (8, 8, 8, 8)) -> Path:
    """fusion: channels of the fusion blocks."""
    backbone = _LIBRARY.VitDetConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_channels=4,
        image_size=64,
        pretrain_image_size=64,
        window_size=2,
        window_block_indices=[0],
        residual_block_indices=[1],
        use_absolute_position_embeddings=True,
        use_relative_position_embeddings=True,
        out_features=["stage2"],
    )
    config = _LIBRARY.VitMatteConfig(
        backbone_config=backbone, hidden_size=32, convstream_hidden_sizes=[8, 8, 8], fusion_hidden_sizes=list(fusion)
    )
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = _LIBRARY.VitMatteForImageMatting(config).eval()
        for module in model.modules():  # the initial weights are so small that alpha is 0.5 everywhere
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.fill_(2.0)
            elif isinstance(module, nn.Conv2d):
                module.weight.data.normal_(0, module.weight[0].numel() ** -0.5)
    model.save_pretrained(folder)
    return folder
