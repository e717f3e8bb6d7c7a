"""The suffix `@WxH` of a weights spec: the size of the network's input."""

import re

from stream.errors import UsageError

STRIDE = 32  # networks halve their input up to five times
_MAX_SIDE_PX = 8192

Size = tuple[int, int]


def split_size(spec: str) -> tuple[str, Size | None]:
    """Split `NAME[@WxH]` into the name and (width, height) in pixels; None if the spec has no size.

    Raises UsageError for sides that no network accepts.
    """
    match = re.fullmatch(r"(.*)@(\d+x\d+)", spec)  # a path may contain an @ itself
    return (match[1], _sides(match[2])) if match else (spec, None)


def _sides(size: str) -> Size:
    width, _, height = size.partition("x")
    if not all(STRIDE <= int(side) <= _MAX_SIDE_PX for side in (width, height)):
        raise UsageError(f"weights: {size!r} is not a valid input size; write for example 1024x1024")
    if int(width) % STRIDE or int(height) % STRIDE:
        raise UsageError(f"weights: {size}: both sides must be multiples of {STRIDE}")
    return int(width), int(height)
