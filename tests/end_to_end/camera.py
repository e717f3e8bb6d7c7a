"""A real clip with its ground truth, used as a camera: points where its subject always is, and where it never is."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from tests.media import TALK, TALK_ALPHA

Point = tuple[float, float]
_CLEAR_PX = 12
_MORE = 11


@dataclass(frozen=True)
class Truth:
    """Points, as shares of width and height, that are subject or background in every frame and far from any edge.

    background: the first is the farthest from any edge; the others are spread over the room. colours, room: the
    camera's colours at `subject` and at the first of `background` over the clip, RGB (n, 3).
    """

    subject: Point
    background: list[Point]
    colours: npt.NDArray[np.uint8]
    room: npt.NDArray[np.uint8]


@cache
def truth() -> Truth:
    with av.open(str(TALK_ALPHA)) as file:
        alphas = np.array([frame.to_ndarray(format="gray") for frame in file.decode(video=0)])
    with av.open(str(TALK)) as file:
        images = np.array([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
    (front, *_), behind = _places(alphas.min(0) == 255), _places(alphas.max(0) == 0)
    height, width = alphas.shape[1:]
    (subject,), background = ([(x / width, y / height) for y, x in places] for places in ([front], behind))
    return Truth(subject, background, images[:, *front], images[:, *behind[0]])


def _places(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(row, column) of the point farthest from the edges of mask and picture, and of more points clear of them."""
    distance = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    clear = np.argwhere(distance > _CLEAR_PX)
    first = np.unravel_index(int(distance.argmax()), mask.shape)
    others = np.random.default_rng(1).choice(clear, _MORE, replace=False)
    return [(int(row), int(column)) for row, column in [first, *others]]


def write_mjpeg(path: Path) -> Path:
    """Write the clip in the format of Chromium's fake camera."""
    with av.open(str(TALK)) as file, path.open("wb") as out:
        for frame in file.decode(video=0):
            done, jpeg = cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"), [cv2.IMWRITE_JPEG_QUALITY, 92])
            assert done
            out.write(jpeg.tobytes())
    return path
