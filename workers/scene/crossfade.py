"""Cross-fades from one live background to the next."""

import cv2
import numpy as np

from stream.errors import BackgroundError
from stream.picture.frames import Frame, Plane
from workers.scene.backgrounds import Backdrop

FADE_S = 0.1  # visible as a fade, and short enough that a choice feels immediate
_INITIAL = 0.35  # share of the new background in the first frame


class Crossfade:
    """A Backdrop that shows another one, which can be replaced between frames. Owns both."""

    def __init__(self, backdrop: Backdrop) -> None:
        self._shown = backdrop
        self._old: Backdrop | None = None
        self._begun_s: float | None = None  # time of the first frame after the change
        self._used = False  # whether any frame has shown the current one

    def turn_to(self, backdrop: Backdrop, softly: bool = True) -> None:
        """Change to `backdrop` from the next frame on, with a fade if `softly`. Ends a fade in progress. The old
        backdrop is closed after the fade."""
        self._close_old()
        softly = softly and self._used
        self._old, self._shown, self._begun_s, self._used = self._shown, backdrop, None, False
        if not softly:
            self._close_old()

    def at(self, frame: Frame, alpha: Plane) -> Plane | None:
        shown, self._used = self._shown.at(frame, alpha), True
        share = self._share(frame.time_s)
        if share >= 1.0 or shown is None:
            self._close_old()
            return shown
        old = self._old_at(frame, alpha)
        if old is None:
            return shown
        return np.asarray(cv2.addWeighted(shown, share, old, 1.0 - share, 0.0), np.uint8)

    def close(self) -> None:
        self._close_old()
        self._shown.close()

    def _share(self, time_s: float) -> float:
        """The share of the new background, which rises fast first and then slowly; 1 without a fade."""
        if self._old is None:
            return 1.0
        if self._begun_s is None:
            self._begun_s = time_s
        elapsed_s = time_s - self._begun_s
        if not 0.0 <= elapsed_s < FADE_S:  # negative if the timestamps jumped back
            return 1.0
        return 1.0 - (1.0 - _INITIAL) * (1.0 - elapsed_s / FADE_S) ** 2

    def _old_at(self, frame: Frame, alpha: Plane) -> Plane | None:
        assert self._old is not None
        try:
            return self._old.at(frame, alpha)
        except BackgroundError:  # it is on its way out anyway
            self._close_old()
            return None

    def _close_old(self) -> None:
        if self._old is not None:
            self._old.close()
            self._old = None
