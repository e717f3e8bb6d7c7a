"""What leaves instead of a frame that has no matte: the background alone. No unmatted pixel is shown by accident.

A frame has no matte while its engine loads, when the engine fails or is overloaded, and when a live source sends no
picture. What a published stream may be asked to show is decided in `web/privacy.py`.
"""

from collections.abc import Callable

import numpy as np

from stream.picture.frames import Frame, Plane
from stream.records.options import View
from workers.scene.blur import GREY
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
