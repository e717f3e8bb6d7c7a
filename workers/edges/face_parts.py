"""Adds what people wear on their heads to a matte that has lost it: hats, glasses, earrings, hair. Pure functions.

Knows nothing about the network that finds the parts of faces.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Plane

_SUBJECT = 0.5
_SEARCH_PX = 256  # largest side of the mask in which heads are looked for
_GAP = (
    0.04  # of the mask's smaller side: pieces that are twice as far apart belong together, as above and below glasses
)
_HEADS = 4  # most heads of a picture
_LEAST = 0.005  # of the picture: smaller pieces of the matte have no head
_SIDE = 1.3  # of the box of a head, in widths or heights of the piece, whichever is less
_ABOVE = 0.35  # of the box's side: room for a hat above the matte
_TOUCH = 0.03  # of the box's side: parts at this distance from the matte still touch it
_SOFT = (0.25, 0.75)  # probabilities of a part that become alpha 0 and 1


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of an alpha: rows `top` to `bottom`, columns `left` to `right`, the last ones excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def relative(self, alpha: Alpha) -> tuple[float, float, float, float]:
        """(left, top, right, bottom), 0 to 1 of an alpha's width and height."""
        height, width = alpha.shape
        return self.left / width, self.top / height, self.right / width, self.bottom / height


def heads(alpha: Alpha) -> list[Box]:
    """Where heads are expected: around the upper end of each large piece of the matte, the largest first. Boxes are
    square, except where the picture is too small."""
    scale = min(1.0, _SEARCH_PX / max(alpha.shape))
    size = (max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale)))
    subject = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)) > _SUBJECT
    _, labels = cv2.connectedComponents(_dilated(subject, max(1, round(_GAP * min(size)))))
    areas = np.bincount(labels[subject], minlength=1)
    large = [label for label in np.argsort(-areas, kind="stable") if areas[label] >= max(1, _LEAST * subject.size)]
    return [_enlarged(_head(subject & (labels == label)), size, alpha) for label in large[:_HEADS]]


def united(alpha: Alpha, parts: Alpha, face: Alpha) -> Alpha:
    """The matte with those parts that touch it, or a face that touches it, float32 (h, w).

    alpha: (h, w), 0 to 1. parts, face: (h, w), the probability that a pixel belongs to the parts to keep, and to skin.
    Nothing is removed from the matte, and skin is not added to it.
    """
    solid = (parts + face > _SUBJECT).astype(np.uint8)
    reach = max(1, round(_TOUCH * min(alpha.shape)))
    _, pieces = cv2.connectedComponents(solid)
    touched = np.unique(pieces[(_dilated(alpha > _SUBJECT, reach) & solid) > 0])
    kept = np.isin(pieces, touched) & (solid > 0) & (parts > _SUBJECT / 2)
    low, high = _SOFT
    soft = np.clip((parts - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return np.maximum(alpha, soft * _dilated(kept, reach))


def _head(piece: npt.NDArray[np.bool_]) -> Box:
    """The box of the head of a piece of the matte."""
    left, top, width, height = cv2.boundingRect(piece.astype(np.uint8))
    side = max(1, min(round(_SIDE * min(width, height)), *piece.shape))
    upper = piece[top : top + max(1, side // 4), left : left + width].sum(0)
    centre = left + int(np.average(np.arange(width), weights=upper))
    x = min(max(0, centre - side // 2), piece.shape[1] - side)
    y = min(max(0, top - round(_ABOVE * side)), piece.shape[0] - side)
    return Box(x, y, x + side, y + side)


def _enlarged(box: Box, size: tuple[int, int], alpha: Alpha) -> Box:
    """A box in a mask of this (width, height) as the box in the alpha."""
    height, width = alpha.shape
    left, right = box.left * width // size[0], -(-box.right * width // size[0])
    top, bottom = box.top * height // size[1], -(-box.bottom * height // size[1])
    return Box(left, top, min(right, width), min(bottom, height))


def _dilated(mask: npt.NDArray[np.bool_], radius: int) -> Plane:
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), np.uint8)
