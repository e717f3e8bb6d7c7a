"""Segmentation networks of transformers, tiny and with random weights: real classes, drawn and not trained."""

import json
from pathlib import Path
from typing import Any

LABELS = {0: "wall", 1: "person, individual", 2: "dog", 3: "sky"}


def _labels() -> dict[str, Any]:
    return {"id2label": dict(LABELS), "label2id": {label: index for index, label in LABELS.items()}}


def mask2former(seed: int = 1) -> Any:
    import torch
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    torch.manual_seed(seed)
    stages = ["stage1", "stage2", "stage3", "stage4"]
    swin = SwinConfig(embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, out_features=stages)
    sizes = dict.fromkeys(("feature_size", "mask_feature_size", "hidden_dim"), 32)
    config = Mask2FormerConfig(
        backbone_config=swin,
        **sizes,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=8,
        **_labels(),
    )
    return Mask2FormerForUniversalSegmentation(config).eval()


def eomt(seed: int = 1) -> Any:
    import torch
    from transformers import EomtConfig, EomtForUniversalSegmentation

    torch.manual_seed(seed)
    config = EomtConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=8, image_size=64,
        patch_size=16, num_register_tokens=1, **_labels(),
    )  # fmt: skip
    return EomtForUniversalSegmentation(config).eval()


def oneformer(seed: int = 1) -> Any:
    import torch
    from transformers import OneFormerConfig, OneFormerForUniversalSegmentation, SwinConfig

    torch.manual_seed(seed)
    stages = ["stage1", "stage2", "stage3", "stage4"]
    swin = SwinConfig(embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, out_features=stages)
    config = OneFormerConfig(
        backbone_config=swin, conv_dim=32, mask_dim=32, hidden_dim=32, encoder_feedforward_dim=32, dim_feedforward=32,
        encoder_layers=1, decoder_layers=3, query_dec_layers=1, num_attention_heads=2, num_queries=8, **_labels(),
    )  # fmt: skip
    return OneFormerForUniversalSegmentation(config).eval()


def clip_tokenizer(folder: Path) -> None:
    """The files of a CLIP tokenizer that knows letters only: with a few merges, and two special tokens at its end."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    merges = ["t a", "ta s", "tas k</w>", "i s</w>"]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = {word: index for index, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")


FACE_LABELS = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip",
    "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip


def segformer(seed: int = 1, labels: tuple[str, ...] = FACE_LABELS) -> Any:
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(seed)
    config = SegformerConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16,
        id2label=dict(enumerate(labels)), label2id={label: index for index, label in enumerate(labels)},
    )  # fmt: skip
    return SegformerForSemanticSegmentation(config).eval()
