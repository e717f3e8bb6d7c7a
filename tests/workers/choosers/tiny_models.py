"""Tiny models of transformers with random weights, as folders that `save_pretrained` writes, and frames for them."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from stream.picture.frames import Frame
from workers.choosers import edgetam

SIZE = 64  # of the square input, in pixels
_HIDDEN = 128


def drawn(model: Any, seed: int = 0) -> Any:
    """The model with random weights that matter: an untrained model ignores its memory and finds no subject."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 0
            if fan_in > 1:
                parameter.normal_(0.0, fan_in**-0.5, generator=generator)
            elif "norm" not in name and ".bn." not in name:
                parameter.normal_(0.0, 0.2, generator=generator)
        for name, parameter in model.named_parameters():
            if name.endswith("pred_obj_score_head.proj_out.bias"):
                parameter.fill_(3.0)
            elif name.endswith("iou_prediction_head.proj_out.bias"):
                parameter.fill_(0.8)
    return model.eval()


def sam2(folder: Path, size: int = SIZE) -> Path:
    backbone = {
        "hidden_size": 16, "image_size": [size, size], "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128], "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 2, 4, 2], "global_attention_blocks": [3], "mlp_ratio": 2.0,
        "window_positional_embedding_background_size": [2, 2],
    }  # fmt: skip
    vision = {"backbone_config": {"model_type": "sam2_hiera_det_model", **backbone}, **_levels(size, [128, 64, 32, 16])}
    config = transformers.Sam2VideoConfig(vision_config=vision, **_video(size))
    drawn(transformers.Sam2VideoModel(config)).save_pretrained(folder)
    return folder


def edge_tam(folder: Path, size: int = SIZE) -> Path:
    """As published, with the backbone as a wrapper around timm."""
    channels = [16, 32, 48, 64]
    own = {"model_type": "mattebox_repvit", "channels": channels, "depths": [1, 1, 2, 1]}
    vision = {"model_type": "edgetam_vision_model", "backbone_config": own, **_levels(size, channels[::-1])}
    perceiver = {
        "perceiver_resampler_num_latents": 16, "perceiver_resampler_num_latents_2d": 16,
        "perceiver_resampler_hidden_size": 64, "perceiver_resampler_mlp_intermediate_size": 64,
        "memory_attention_rope_k_sizes": [4, 4],
    }  # fmt: skip
    config = transformers.EdgeTamVideoConfig(vision_config=vision, **_video(size), **perceiver)
    drawn(transformers.EdgeTamVideoModel(config)).save_pretrained(folder)
    content = json.loads((folder / "config.json").read_text())
    assert content["vision_config"]["backbone_config"]["model_type"] == edgetam.RepVitConfig.model_type
    arguments = {"in_chans": 3, "features_only": True, "embed_dim": channels, "depth": own["depths"]}
    content["vision_config"]["backbone_config"] = {
        "model_type": "timm_wrapper", "architecture": "repvit_m1.dist_in1k", "model_args": arguments,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def sam3(folder: Path, size: int = 56) -> Path:
    """Detector and tracker, with a tokenizer of a few words. The patches have 14 pixels, so the size is a multiple."""
    tokens, side = 32, size // 14
    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": size, "pretrain_image_size": size, "window_size": 2,
        "global_attn_indexes": [1],
    }  # fmt: skip
    sizes = [[scale * side, scale * side] for scale in (4, 2, 1)]
    vision = {
        "model_type": "sam3_vision_model", "backbone_config": backbone, "backbone_feature_sizes": sizes,
        "fpn_hidden_size": _HIDDEN,
    }  # fmt: skip
    layers = {"hidden_size": _HIDDEN, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    text = {
        "model_type": "clip_text_model", "vocab_size": 40, "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": tokens, "projection_dim": 32,
        "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 2,
    }  # fmt: skip
    detector = {
        "model_type": "sam3", "vision_config": vision, "text_config": text, "geometry_encoder_config": layers,
        "detr_encoder_config": layers, "detr_decoder_config": {**layers, "num_queries": 10},
        "mask_decoder_config": {"hidden_size": _HIDDEN, "num_attention_heads": 2},
    }  # fmt: skip
    parts = _video(size)
    parts["prompt_encoder_config"]["patch_size"] = 14
    parts["memory_attention_rope_feat_sizes"] = [side, side]
    tracker = {"model_type": "sam3_tracker_video", "vision_config": vision, **parts}
    config = transformers.Sam3VideoConfig(detector_config=detector, tracker_config=tracker, low_res_mask_size=4 * side)
    drawn(transformers.Sam3VideoModel(config)).save_pretrained(folder)
    content = json.loads((folder / "config.json").read_text())
    content["tracker_config"]["image_size"] = size  # which is not among the fields that are saved
    (folder / "config.json").write_text(json.dumps(content))
    words = {"<unk>": 0, "<|startoftext|>": 1, "<|endoftext|>": 2, "a": 3, "red": 4, "guitar": 5, "dog": 6}
    tokenizer = Tokenizer(WordLevel(words, "<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _levels(size: int, channels: list[int]) -> dict[str, Any]:
    sizes = [[size // stride, size // stride] for stride in (4, 8, 16)]
    return {"backbone_channel_list": channels, "backbone_feature_sizes": sizes, "fpn_hidden_size": _HIDDEN}


def _video(size: int) -> dict[str, Any]:
    """The parts after the picture's features, which all trackers have."""
    return {
        "image_size": size,
        "prompt_encoder_config": {"hidden_size": _HIDDEN, "image_size": size, "patch_size": 16},
        "mask_decoder_config": {
            "hidden_size": _HIDDEN, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 64,
        },
        "memory_attention_hidden_size": _HIDDEN, "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 64, "memory_attention_rope_feat_sizes": [size // 16, size // 16],
        "memory_encoder_hidden_size": _HIDDEN, "mask_downsampler_embed_dim": _HIDDEN,
        "memory_fuser_embed_dim": _HIDDEN, "memory_fuser_intermediate_dim": 64, "memory_fuser_num_layers": 1,
    }  # fmt: skip


def frame(number: int, width: int = 96, height: int = 64, fps: int = 30) -> Frame:
    """A bright square that moves over a static pattern."""
    rows, columns = np.mgrid[0:height, 0:width]
    luma = (60 + 40 * np.sin(columns / 5) * np.cos(rows / 7)).astype(np.uint8)
    left = 8 + number % (width - 40)
    luma[20:44, left : left + 24] = 220
    chroma = np.full((height // 2, width), 128, np.uint8)
    return Frame(np.concatenate([luma, chroma]), number, Fraction(1, fps))
