"""The pictures of one frame as encoders get them: the published view and the stack, each converted once.

Knows nothing about encoders or viewers.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import groupby

import av

from stream.picture.bt601 import ToBt601
from stream.picture.frames import Frame, to_av
from stream.picture.stack import scaled
from stream.rtc.encoder import CLOCK
from stream.rtc.h264_levels import blocks
from stream.rtc.tracks import Variant

_Kind = tuple[bool, int]
"""Whether it is a stack, and its largest size in macroblocks."""


class Pictures:
    """Converts frames. A stack is the first of `Frame.others`; a frame without one gives none.

    Used in the writing thread only.
    """

    def __init__(self) -> None:
        self._converters: dict[_Kind, ToBt601] = {}

    def of(self, frame: Frame, variants: Iterable[Variant]) -> Iterator[tuple[Variant, av.VideoFrame]]:
        """The picture of each variant, in BT.601, with its pts in ticks of `CLOCK`. The published view comes first."""
        grouped = groupby(sorted(variants, key=_kind), key=_kind)
        kinds = {kind: list(same) for kind, same in grouped}
        self._converters = {kind: self._converters.get(kind) or ToBt601() for kind in kinds}
        for kind, same in kinds.items():
            shown = _shown(frame, *kind)
            if shown is not None:
                picture = self._converters[kind](to_av(shown, "yuv420p"))
                picture.pts = round(frame.pts * frame.time_base / CLOCK)
                yield from ((variant, picture) for variant in same)


def _kind(variant: Variant) -> _Kind:
    return variant.stacked, variant.max_blocks


def _shown(frame: Frame, stacked: bool, max_blocks: int) -> Frame | None:
    if not stacked:
        return frame
    if not frame.others:  # its viewer has just joined: nothing was drawn for it yet
        return None
    stack = frame.others[0]
    width, height = fitting(stack.width, stack.height // 2, max_blocks)
    return stack if width == stack.width else stack.with_pixels(scaled(stack.pixels, width, height))


def fitting(width: int, height: int, max_blocks: int) -> tuple[int, int]:
    """The size to which a picture of this size is scaled so that its stack has at most `max_blocks` macroblocks.

    0: it is not scaled. A scaled stack consists of whole macroblocks.
    """
    if not max_blocks or blocks(width, 2 * height) <= max_blocks:
        return width, height
    wide = width * math.sqrt(max_blocks / blocks(width, 2 * height))
    columns = max(1, int(wide) // 16)
    rows = max(1, min(round(16 * columns * height / width / 8), max_blocks // columns))
    return 16 * columns, 8 * rows
