"""Closed captions (CEA-608 and CEA-708) that are stored inside the frames of a video, as in broadcasts."""

from collections.abc import Iterable
from typing import cast

import av
from av.sidedata.sidedata import SideData, SideDataContainer, Type

_VALID = 0x04
_TEXT = 0x7F  # without the bit for parity


def has_captions(frame: av.VideoFrame) -> bool:
    """Whether a decoded frame has captions, and not only their padding."""
    # With `frame.side_data` the frame refers to itself: its pixels stay in memory until garbage is collected.
    found = cast(Iterable[SideData], SideDataContainer(frame))  # type: ignore[call-arg]
    return any(_has_text(bytes(data)) for data in found if data.type is Type.A53_CC)


def _has_text(content: bytes) -> bool:
    """content: three bytes for each pair of characters: flags, and the characters."""
    return any(
        content[at] & _VALID and (content[at + 1] | content[at + 2]) & _TEXT for at in range(0, len(content) - 2, 3)
    )
