"""The device and the precision in which networks of torch run on this machine."""

import torch

from stream.settings import Settings


def best_device() -> torch.device:
    """The first CUDA device, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_precision(device: torch.device) -> torch.dtype:
    """float16 on a GPU, bfloat16 on a CPU that supports it natively, float32 on one that would emulate it."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def chosen_precision(device: torch.device, settings: Settings) -> torch.dtype:
    """Half precision where the device computes in it, unless the settings forbid it."""
    return half_precision(device) if settings.half else torch.float32


def label(device: torch.device, dtype: torch.dtype) -> str:
    """To be displayed, such as "cuda in float16"."""
    return f"{device.type} in {str(dtype).removeprefix('torch.')}"
