"""Chooser for `class:` prompts: OneFormer, one network for several tasks, which is told that its task is semantic."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from stream.errors import WeightsError
from workers.choosers.class_segmenter import ClassSegmenter, Outputs, Windows
from workers.models.segmentation import scores
from workers.weights import transformers_loading
from workers.weights.imagenet import DEVIATION, MEAN
from workers.weights.preprocessing import Preprocessing

_TASK = "the task is semantic"
_VOCABULARY, _MERGES = "vocab.json", "merges.txt"
_SHORTEST_PX, _LONGEST_PX = 640, 2560  # of the pictures for the published checkpoints
_ONLY_TRAINED = "model.text_mapper."  # tensors that are used in training alone


class OneFormer(ClassSegmenter):
    name = "oneformer"

    def loaded(self, folder: Path, model: str) -> Any:
        network = transformers_loading.load(folder, model, _for_inference, unused=_ONLY_TRAINED)
        return WithTask(network, task_tokens(folder, int(network.config.task_seq_len)))

    def figures(self, network: Any) -> Preprocessing:
        return Preprocessing(MEAN, DEVIATION, shortest=_SHORTEST_PX, longest=_LONGEST_PX)

    def joined(self, outputs: Sequence[Outputs], seen: Windows) -> Tensor:
        ((classes, masks),) = outputs
        return scores.class_scores(classes, masks, (masks.shape[-2], masks.shape[-1]))


class WithTask(nn.Module):
    """The network with its second input. tokens: int64 (1, L).

    The task is encoded in float32: the network computes with the numbers of the tokens, up to 49407, which lower
    precision would round.
    """

    network: Any
    tokens: Tensor

    def __init__(self, network: Any, tokens: Tensor) -> None:
        super().__init__()
        network.model.task_encoder = _InFloat32(network.model.task_encoder)
        self.network = network
        self.register_buffer("tokens", tokens)

    def forward(self, pixel_values: Tensor) -> Any:
        return self.network(pixel_values=pixel_values, task_inputs=self.tokens.expand(len(pixel_values), -1))


class _InFloat32(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, enabled=False):
            encoded: Tensor = self.module(inputs.float())
        return encoded


def task_tokens(folder: Path, length: int) -> Tensor:
    """The task in CLIP's tokens, as `OneFormerProcessor` makes them: int64 (1, length), 0 after its end. Raises
    WeightsError for a folder without the files of a CLIP tokenizer."""
    files = [folder / name for name in (_VOCABULARY, _MERGES)]
    if missing := next((file for file in files if not file.is_file()), None):
        raise WeightsError(f"{missing} is missing: OneFormer needs the vocabulary and merges of its CLIP tokenizer")
    try:
        tokenizer = CLIPTokenizer(*map(str, files))
    except Exception as exc:  # it raises nothing more specific
        raise WeightsError(f"{folder}: {_VOCABULARY} and {_MERGES} are not a CLIP tokenizer: {exc}") from exc
    encoded = tokenizer(_TASK, padding="max_length", max_length=length, truncation=True)
    return torch.tensor([encoded["input_ids"]]) * torch.tensor([encoded["attention_mask"]])


def _for_inference(config: Any) -> Any:
    return config | {"is_training": False}
