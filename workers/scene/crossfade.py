"""A live background that gives way to the next one softly, without a cut in the picture."""

import cv2
import numpy as np

from stream.errors import BackgroundError
from stream.picture.frames import Frame, Plane
from workers.scene.backgrounds import Backdrop

FADE_S = 0.1  # seen as a fade, and over soon enough that a choice is felt as immediate
_AT_ONCE = 0.35  # of the new background in the very first picture


class Crossfade:
    """A Backdrop that shows another one, which may be changed between two frames. Owns both."""

    def __init__(self, backdrop: Backdrop) -> None:
        self._shown = backdrop
        self._leaving: Backdrop | None = None
        self._begun_s: float | None = None  # time of the first frame after the change
        self._seen = False  # has any frame shown the present one?

    def turn_to(self, backdrop: Backdrop, softly: bool = True) -> None:
        """Go over to `backdrop` from the next frame on; what was leaving already is dropped. The old one is closed."""
        self._drop_leaving()
        softly = softly and self._seen
        self._leaving, self._shown, self._begun_s, self._seen = self._shown, backdrop, None, False
        if not softly:
            self._drop_leaving()

    def at(self, frame: Frame, alpha: Plane) -> Plane | None:
        shown, self._seen = self._shown.at(frame, alpha), True
        share = self._share(frame.time_s)
        if share >= 1.0 or shown is None:
            self._drop_leaving()
            return shown
        left = self._left_at(frame, alpha)
        if left is None:
            return shown
        return np.asarray(cv2.addWeighted(shown, share, left, 1.0 - share, 0.0), np.uint8)

    def close(self) -> None:
        self._drop_leaving()
        self._shown.close()

    def _share(self, time_s: float) -> float:
        """Of the new background, quick first and slow at the end; 1 where nothing leaves."""
        if self._leaving is None:
            return 1.0
        if self._begun_s is None:
            self._begun_s = time_s
        past_s = time_s - self._begun_s
        if not 0.0 <= past_s < FADE_S:  # before it began: the clock has been set
            return 1.0
        return 1.0 - (1.0 - _AT_ONCE) * (1.0 - past_s / FADE_S) ** 2

    def _left_at(self, frame: Frame, alpha: Plane) -> Plane | None:
        assert self._leaving is not None
        try:
            return self._leaving.at(frame, alpha)
        except BackgroundError:  # it is being left anyway
            self._drop_leaving()
            return None

    def _drop_leaving(self) -> None:
        if self._leaving is not None:
            self._leaving.close()
            self._leaving = None
