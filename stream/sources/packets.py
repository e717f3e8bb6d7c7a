"""The packets of a file's streams, as FFmpeg reads them."""

from collections.abc import Iterator, Sequence
from typing import Any

from av.container import InputContainer


def packets(container: InputContainer, streams: Sequence[Any]) -> Iterator[Any]:
    """The packets of these streams; empty ones at the end. Raises av.error.FFmpegError."""
    try:
        yield from container.demux(streams)
    except IndexError:  # raised by PyAV at the end of a file in which streams appeared while it was read
        return
