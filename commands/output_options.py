"""Command line options of the outputs of live video."""

import re
from enum import StrEnum
from typing import Annotated

import typer

from stream.errors import UsageError
from stream.limits import BITRATE_LEAST, BITRATE_MOST


class Audio(StrEnum):
    """What is sent of the sound."""

    COPY = "copy"
    OFF = "off"


Bitrate = Annotated[
    str | None,
    typer.Option(metavar="BPS", help="Video bits per second of each output, such as 4M; by default by its size."),
]
AudioOption = Annotated[Audio, typer.Option(help="Send sound (converted where an output needs it), or none.")]


def parse_bitrate(text: str | None) -> int | None:
    """Parse bits per second, with k or M for thousands or millions. Raises UsageError."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9}(?:[.][0-9]{1,3})?)([kKmM]?)", text)
    value = round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()]) if match else 0
    if not BITRATE_LEAST <= value <= BITRATE_MOST:
        raise UsageError(f"--bitrate {text!r}: write bits per second from 100k to 200M, such as 4M or 2500k")
    return value
