"""Shapes the matte: from the engine's size to the picture's, with the edge controls that the user chose.

Pure functions on the CPU, in this order: specks and holes, size (with refinement), curve, expansion, feather. Controls
at their defaults cost nothing. `dress` then applies the edge controls for the subject's colours.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Frame, Plane
from stream.records.options import Edges, Refine, View
from workers.edges import contours, guided, spill
from workers.edges.chroma_screen import find_screen
from workers.scene.composite import combined_alpha, light_wrap

_STEP_PX = 4  # several dilations by small discs nearly equal one by a large disc, and are much cheaper in OpenCV


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What is remembered of one video's edges. kept: see `contours`. screen: Y, U, V of its screen, once found."""

    kept: contours.Kept | None = None
    screen: spill.Yuv | None = None


def shape_alpha(state: EdgeState, alpha: Alpha, frame: Frame, edges: Edges) -> tuple[EdgeState, Plane]:
    """The engine's alpha as uint8 (H, W) of the frame, shaped, and the state for the next frame.

    alpha: float32 (h, w), 0-1, of any size.
    """
    kept, alpha = contours.clean(state.kept, alpha, edges.specks, edges.holes)
    luma = frame.pixels[: frame.height]
    full = guided.upsample(alpha, luma) if edges.refine is Refine.ON else full_size(alpha, frame)
    full = curve(full, edges.threshold, edges.contrast)
    return EdgeState(kept, state.screen), feather(expand(full, edges.expand), edges.feather)


def dress(
    state: EdgeState,
    frame: Frame,
    alpha: Plane,
    foreground: Plane | None,
    background: Plane | None,
    edges: Edges,
    view: View,
) -> tuple[EdgeState, Plane | None]:
    """The foreground for `render`: spill removed, and the new background's light wrapped around the edge.

    alpha: uint8 (H, W), from `shape_alpha`. foreground, background: I420 or None, as `render` takes them. Without these
    controls the foreground is returned as it is. Light wraps only where the output shows the background: not in outputs
    with alpha, which are composited elsewhere.
    """
    if edges.spill > 0.0 and not frame.gray:
        screen = state.screen or find_tint(frame)
        state = EdgeState(state.kept, screen)
        if screen is not None:
            foreground = spill.despilled(frame.pixels if foreground is None else foreground, screen, edges.spill)
    shown = view in (View.COMPOSITE, View.SIDE_BY_SIDE) and background is not None and background is not frame.pixels
    if edges.light_wrap > 0.0 and shown and background is not None:
        subject = frame.pixels if foreground is None else foreground
        foreground = light_wrap(subject, background, combined_alpha(frame, alpha), edges.light_wrap)
    return state, foreground


def full_size(alpha: Alpha, frame: Frame) -> Plane:
    """The engine's alpha as uint8 (H, W) of the frame.

    Rounded before it is enlarged, which takes half the time. Compared with rounding afterwards, values change by at
    most one level, and on average by -0.1 where alpha is neither 0 nor 1.
    """
    small = _u8(cv2.convertScaleAbs(alpha, alpha=255.0))
    if alpha.shape == (frame.height, frame.width):
        return small
    return _u8(cv2.resize(small, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR))


def curve(alpha: Plane, threshold: float, contrast: float) -> Plane:
    """Alpha, uint8, mapped by a smooth rising curve through 0, (threshold, 1/2) and 1; contrast 1 is nearly a step."""
    if threshold == 0.5 and contrast == 0.0:
        return alpha
    return _u8(cv2.LUT(alpha, _curve_table(threshold, contrast)))


def expand(alpha: Plane, radius_px: float) -> Plane:
    """Alpha, uint8 (H, W), with its edge moved outwards by `radius_px`, inwards if negative.

    Greyscale dilation or erosion by a disc, which keeps a soft edge soft. Fractions of a pixel are interpolated.
    """
    whole, fraction = divmod(abs(radius_px), 1.0)
    morph = cv2.dilate if radius_px > 0 else cv2.erode
    steps, rest = divmod(int(whole), _STEP_PX)
    for radius, times in ((_STEP_PX, steps), (rest, 1)):
        if radius and times:
            alpha = _u8(morph(alpha, _disc(radius), iterations=times, borderType=cv2.BORDER_REPLICATE))
    if fraction:
        further = morph(alpha, _disc(1), borderType=cv2.BORDER_REPLICATE)
        alpha = _u8(cv2.addWeighted(further, fraction, alpha, 1 - fraction, 0))
    return alpha


def feather(alpha: Plane, radius_px: float) -> Plane:
    """Alpha, uint8 (H, W), blurred over `radius_px` on each side. Its solid part never grows."""
    if radius_px == 0.0:
        return alpha
    side = 2 * math.ceil(radius_px) + 1
    return _u8(cv2.GaussianBlur(alpha, (side, side), radius_px / 2, borderType=cv2.BORDER_REPLICATE))


def find_tint(frame: Frame) -> spill.Yuv | None:
    """Y, U, V of the screen along the picture's border; None without one, as in a room."""
    screen = find_screen(frame, None)
    return screen.key if screen is not None and spill.is_screen(screen.key) else None


@functools.lru_cache(maxsize=64)
def _curve_table(threshold: float, contrast: float) -> Plane:
    """uint8 (256,). The curve is a power of the odds x / (1 - x): of alpha's over the threshold's."""
    alpha = np.arange(256) / 255
    power = 1 / (1 - 0.99 * contrast)
    subject, room = (alpha * (1 - threshold)) ** power, ((1 - alpha) * threshold) ** power
    return _u8(np.rint(255 * subject / (subject + room)))


@functools.cache
def _disc(radius: int) -> Plane:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return _u8(x**2 + y**2 <= radius * (radius + 0.5))


def _u8(image: npt.ArrayLike) -> Plane:
    return np.asarray(image, np.uint8)
