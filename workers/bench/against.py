"""The public BiRefNet code, from a checkout that the user provides, as a baseline for benchmarks.

None of that code is in this project. It runs as its documentation recommends: eager, in half precision.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from stream.errors import UsageError
from workers.models.birefnet.network import BiRefNet


class Public(nn.Module):
    """The last output of the public network: logits, like ours."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        """(B, 3, H, W) to (B, 1, H, W)."""
        return self.network(x)[-1]


def public_network(folder: Path, like: BiRefNet) -> Public:
    """The network built by the code in `folder`, with the weights of `like`. float32, on the CPU.

    Raises UsageError if the folder or a package that the code needs is missing, or if the architecture differs.
    """
    if not (folder / "models" / "birefnet.py").is_file():
        raise UsageError(f"{folder} is not a checkout of BiRefNet")
    _stub_kornia()
    sys.path.insert(0, str(folder))
    try:
        network = importlib.import_module("models.birefnet").BiRefNet(bb_pretrained=False)
        missing, unknown = network.load_state_dict(like.state_dict(), strict=False)
    except (ImportError, RuntimeError) as exc:
        raise UsageError(f"{folder}: {str(exc).splitlines()[0]}") from exc
    finally:
        sys.path.remove(str(folder))
    if unknown or any(not key.endswith("relative_position_index") for key in missing):
        raise UsageError(f"{folder} builds a different network: {(unknown + missing)[:3]}")
    torch.set_float32_matmul_precision("high")
    return Public(network.requires_grad_(False).eval())


def _stub_kornia() -> None:
    """kornia is used only in training, but always imported."""
    if importlib.util.find_spec("kornia") is None:
        for name in ("kornia", "kornia.filters"):
            sys.modules.setdefault(name, ModuleType(name))
        sys.modules["kornia.filters"].__dict__.setdefault("laplacian", None)
