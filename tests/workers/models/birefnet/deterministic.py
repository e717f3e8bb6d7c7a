"""Weights and images that need no checkpoint: each tensor is a function of a seed, its name and its shape.

The reference logits in tests/data/birefnet were computed from the same weights with the public implementation, so the
order of the rules in `tensor` must not change.
"""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

DATA = Path(__file__).parents[3] / "data" / "birefnet"
IGNORED = ("relative_position_index", "num_batches_tracked")


def shapes(variant: str) -> dict[str, tuple[int, ...]]:
    """The tensor names and shapes of a published checkpoint: "general" is Swin-L, "lite" is Swin-T."""
    shapes_by_name = json.loads((DATA / f"{variant}_state_dict.json").read_text())
    return {key: tuple(shape) for key, shape in shapes_by_name.items()}


def state_dict(variant: str, seed: int = 0) -> dict[str, Array]:
    """All tensors of a checkpoint that the network uses."""
    return {k: tensor(seed, k, shape) for k, shape in shapes(variant).items() if not k.endswith(IGNORED)}


def tensor(seed: int, key: str, shape: tuple[int, ...]) -> Array:
    """One random tensor, drawn in float64, with values in the range that training would give."""
    digest = sha256(f"{seed}:{key}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    if key.endswith("running_var"):
        drawn = rng.uniform(0.5, 1.5, shape)
    elif key.endswith("running_mean"):
        drawn = rng.normal(0, 0.1, shape)
    elif key.endswith("relative_position_bias_table"):
        drawn = rng.normal(0, 0.5, shape)
    elif len(shape) == 1 and key.endswith("weight"):
        drawn = rng.uniform(0.8, 1.2, shape)
    elif len(shape) == 1:
        drawn = rng.normal(0, 0.05, shape)
    else:
        drawn = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
    return drawn.astype(np.float32)


def image(height: int, width: int, seed: int = 1) -> tuple[Array, Array]:
    """(low, noise), normalised: the image is low, (1, 3, height//16, width//16), resized bilinearly without aligned
    corners, plus noise, (1, 3, height, width)."""
    rng = np.random.default_rng(seed)
    low = rng.normal(0, 1, (1, 3, height // 16, width // 16))
    noise = rng.normal(0, 0.3, (1, 3, height, width))
    return low.astype(np.float32), noise.astype(np.float32)


def logits(variant: str) -> Array:
    """The public implementation's logits for `state_dict(variant)` and `image(256, 320)`: (1, 1, 256, 320)."""
    with np.load(DATA / f"{variant}_256x320.npz") as file:
        return np.asarray(file["logits"], np.float32)
