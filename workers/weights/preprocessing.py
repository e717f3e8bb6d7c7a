"""How a checkpoint wants its pictures: the figures in its preprocessor_config.json. Knows nothing about pixels.

The sizes are those that the library's image processors compute; these need torchvision and are not used.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stream.errors import WeightsError

Size = tuple[int, int]
"""(width, height) in pixels."""
Rgb = tuple[float, float, float]

_CONFIG = "preprocessor_config.json"


@dataclass(frozen=True)
class Preprocessing:
    """mean, deviation: of RGB from 0 to 1. width, height: of the network's input, whatever the picture's; 0: the size
    depends on the picture.

    shortest, longest: then the picture's shortest side gets this size, unless the longest would be above `longest`; 0:
    no limit. divisor: sides are rounded up to its multiples. split: the network gets square windows of `shortest` that
    overlap. pad: the network gets a square of `longest`, black beside or below the picture.
    """

    mean: Rgb
    deviation: Rgb
    width: int = 0
    height: int = 0
    shortest: int = 0
    longest: int = 0
    divisor: int = 1
    split: bool = False
    pad: bool = False

    def resized(self, width: int, height: int) -> Size:
        """The size to which a picture of this size is scaled."""
        sides = (self.width, self.height) if self.width else self._by_edges(width, height)
        multiples = (max(1, math.ceil(side / self.divisor)) * self.divisor for side in sides)
        return next(multiples), next(multiples)

    def starts(self, width: int, height: int) -> list[int]:
        """Where the windows of a scaled picture of this size begin along its longer side; [0] if there is only one."""
        side, longer = self.shortest, max(width, height)
        count = math.ceil(longer / side) if self.split else 1
        overlap = (count * side - longer) / max(1, count - 1)
        return [int(index * (side - overlap)) for index in range(count)]

    def _by_edges(self, width: int, height: int) -> Size:
        long, short = max(width, height), min(width, height)
        exact = float(self.shortest)
        if self.longest and long / short * self.shortest > self.longest:
            exact = self.longest * short / long
        shorter, longer = max(1, round(exact)), max(1, int(exact * long / short))
        return (shorter, longer) if width < height else (longer, shorter)


def read(folder: Path, default: Preprocessing, origin: str) -> Preprocessing:
    """The figures of the checkpoint in this folder; those missing there are taken from `default`.

    origin: of the checkpoint, for messages. Raises WeightsError.
    """
    file = folder / _CONFIG
    if not file.is_file():
        return default
    try:
        return _parsed(json.loads(file.read_text(encoding="utf-8")), default)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise WeightsError(f"{origin}: {file} cannot be used ({type(exc).__name__}: {exc})") from None


def _parsed(config: dict[str, Any], default: Preprocessing) -> Preprocessing:
    found = default
    if "image_mean" in config and "image_std" in config and config.get("do_normalize", True):
        found = replace(found, mean=_rgb(config["image_mean"]), deviation=_rgb(config["image_std"]))
    found = replace(found, divisor=int(config.get("size_divisor", default.divisor) or 1))
    if "size" not in config:
        return found
    size, longest = config["size"], config.get("max_size")
    if isinstance(size, int):
        size = {"shortest_edge": size, "longest_edge": longest} if longest else {"height": size, "width": size}
    if "height" in size:
        return replace(found, **_sides(width=size["width"], height=size["height"]))
    sides = _sides(shortest=size["shortest_edge"], longest=size.get("longest_edge") or 0)
    split, pad = bool(config.get("do_split_image")), bool(config.get("do_pad"))
    return replace(found, **sides, width=0, height=0, split=split, pad=pad and not split)


def _rgb(values: Any) -> Rgb:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _sides(**sides: Any) -> dict[str, int]:
    if not all(isinstance(side, int) and 0 <= side <= 4096 for side in sides.values()):
        raise ValueError(f"size: {sides}")
    return sides
