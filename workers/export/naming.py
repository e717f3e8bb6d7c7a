"""Names for `mattebox models export`: which networks can be exported, and the default names of files.

Imports no torch.
"""

import re
from pathlib import Path

from stream.errors import UsageError
from stream.records.engines import ENGINES
from workers.weights import birefnet_hub, known, onnx_cards
from workers.weights.input_size import split_size


def birefnet_name(name: str) -> str:
    """The value of `--weights` for a name that `models list` prints, such as `birefnet:lite`, or for `birefnet-lite`.

    Raises UsageError for names of other networks, and for unknown ones.
    """
    bare, _ = split_size(name)
    if bare.startswith(("birefnet:", "birefnet-")) and not birefnet_hub.owns(bare):
        name = name[len("birefnet:") :]
        bare, _ = split_size(name)
    engine, chosen, _ = bare.partition(":")
    others = {*ENGINES, *known.with_choice()}
    if bare in others or (chosen and engine in others) or onnx_cards.owns(bare):
        listed = ", ".join(birefnet_hub.VARIANTS)
        raise UsageError(f"models export: {bare} cannot be exported, only BiRefNet: {listed} or a .safetensors file")
    birefnet_hub.parse(name)
    return name


def default_output(name: str, precision: str) -> Path:
    """A file in the current folder, such as birefnet-lite-512x512-int8.onnx. name: from `birefnet_name`."""
    bare, size = split_size(name)
    stem = Path(bare).stem if bare.lower().endswith(birefnet_hub.FILE_FORMAT) else re.sub(r"^.*/", "", bare)
    parts = [stem if "birefnet" in stem.lower() else f"birefnet-{stem}"]
    parts += [f"{size[0]}x{size[1]}"] if size else []
    return Path("-".join([*parts, precision]) + onnx_cards.FILE_FORMAT)
