"""The card of a network inside its ONNX file, as an entry of the file's metadata: `mattebox models export` writes it,
and the engine `onnx` reads it.

The entry is JSON with the fields of `Card` that a file does not state otherwise. The size of the input is not among
them: it is that of the graph's input.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream.errors import WeightsError
from workers.weights.onnx_cards import Activation, Card, Rgb

KEY = "mattebox.card"


def dumped(card: Card) -> dict[str, str]:
    """The metadata of a file with this card. The matte must be an output that the card names."""
    fields = {
        "about": card.about,
        "mean": card.mean,
        "deviation": card.deviation,
        "by_maximum": card.by_maximum,
        "output": card.output,
        "activation": card.activation.value,
        "licence": card.licence,
    }
    return {KEY: json.dumps(fields)}


def read(metadata: Mapping[str, str], path: Path) -> Card | None:
    """The card in the metadata of the file at `path`, if it has one. Raises WeightsError if it cannot be used."""
    if KEY not in metadata:
        return None
    try:
        return _card(json.loads(metadata[KEY]))
    except (ValueError, TypeError, KeyError) as exc:
        detail = f"{type(exc).__name__}: {exc}"
        raise WeightsError(
            f"{path}: its metadata {KEY} cannot be used ({detail}); choose a card: CARD=FILE.onnx"
        ) from None


def _card(fields: dict[str, Any]) -> Card:
    deviation = _rgb(fields["deviation"])
    if min(deviation) <= 0:
        raise ValueError(f"deviation {list(deviation)}")
    return Card(
        _line(fields["about"]),
        _rgb(fields["mean"]),
        deviation,
        by_maximum=fields["by_maximum"] is True,
        output=str(fields["output"]),
        activation=Activation(fields["activation"]),
        licence=_line(fields["licence"]),
    )


def _rgb(values: Any) -> Rgb:
    red, green, blue = (float(value) for value in values)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError(f"{values} is not finite")
    return red, green, blue


def _line(text: Any) -> str:
    """Text from a file, for a message: one short line."""
    return " ".join(str(text).split())[:100]
