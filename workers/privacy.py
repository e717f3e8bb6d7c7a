"""What leaves instead of a frame that has no matte: the background alone. No unmatted pixel is shown by accident.

A frame has no matte while its engine loads, when the engine fails or is overloaded, and when a live source sends no
picture; then it is a slate, which may have a line of text. What a published stream may be asked to show is decided in
`web/privacy.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stream.picture.frames import Frame, Plane
from stream.records.options import View
from workers.scene.blur import GREY
from workers.scene.caption import caption
from workers.scene.composite import flat, render

Background = Callable[[Frame, Plane], Plane | None]
"""The background (I420) of a frame with this alpha, uint8 (H, W); None if the frame itself is the background."""


def covered(frame: Frame, background: Background, view: View) -> Frame:
    """`frame` replaced by its background alone, drawn in `view`.

    The background is asked for with a grey frame in place of the camera's, so one that is computed from the picture,
    such as a blur of the room, is grey as well. Only time, size and the alpha of the input are kept.
    """
    grey = frame.with_pixels(flat(*GREY, frame.width, frame.height), alpha=frame.alpha)
    no_alpha = np.zeros((frame.height, frame.width), np.uint8)
    return render(grey, no_alpha, None, background(grey, no_alpha), view)


@dataclass(frozen=True)
class _Drawn:
    """A slate, and what it was drawn from. behind: the background; None: transparent."""

    text: str
    view: View
    grey: Plane
    behind: Plane | None
    result: Frame

    def shows(self, text: str, view: View, behind: Plane | None) -> bool:
        return (self.text, self.view) == (text, view) and _same(self.behind, behind)


class Slates:
    """The slates of one output: `covered`, with a line of text in front. Slates without changes share their picture."""

    def __init__(self) -> None:
        self._last: _Drawn | None = None

    def __call__(self, frame: Frame, background: Background, view: View, text: str) -> Frame:
        """`frame` replaced by its background and the text, which is drawn like a subject in every view. text: "" for
        none."""
        size = frame.width, frame.height
        last = self._last if self._last is not None and self._last.grey.shape == frame.pixels.shape else None
        grey = frame.with_pixels(flat(*GREY, *size) if last is None else last.grey)
        no_alpha = np.zeros(size[::-1], np.uint8)
        behind = background(grey, no_alpha)
        if last is None or not last.shows(text, view, behind):
            front, alpha = (grey, no_alpha)
            if text:
                shown = caption(text, *size)
                front, alpha = frame.with_pixels(shown.pixels), shown.alpha
            last = self._last = _Drawn(text, view, grey.pixels, behind, render(front, alpha, None, behind, view))
        return frame.with_pixels(last.result.pixels, last.result.alpha, last.result.gray)


def _same(one: Plane | None, other: Plane | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or np.array_equal(one, other)
