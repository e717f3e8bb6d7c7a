"""The orientation in which a decoded frame is shown, from its display matrix.

FFmpeg converts four sources to a display matrix: the track header of MP4 and MOV, the projection of Matroska, display
orientation messages (SEI) of H.264 and H.265, and EXIF data of JPEG pictures.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import cast

import av
from av.sidedata.sidedata import SideData, SideDataContainer, Type

from stream.picture.orientation import Orientation

_UPRIGHT = Orientation()
_DEGENERATE = 0.1  # sine of the angle between the axes, below which a matrix shows no picture
_SAME_ASPECT = 0.01  # relative difference of the axes' lengths up to which pixels keep their shape, as in FFmpeg


@dataclass(frozen=True, slots=True)
class Display:
    """How a frame is shown.

    orientation: the one of the eight that is nearest to the matrix; halfway between two, the one with the smaller
    rotation. off_deg: rotation that remains, 0 to 45 degrees. sar: width over height of a stored pixel if the matrix
    scales the axes differently, which overrides other aspect ratios; otherwise None.
    """

    orientation: Orientation = _UPRIGHT
    off_deg: float = 0.0
    sar: Fraction | None = None

    @classmethod
    def of_matrix(cls, a: float, b: float, c: float, d: float) -> "Display":
        """The stored position (x, y), right and down, is shown at (a*x + c*y, b*x + d*y), in any unit of length.

        A common scale and translations change nothing. A matrix without two axes counts as upright.
        """
        across, down = math.hypot(a, b), math.hypot(c, d)
        area = a * d - b * c
        if abs(area) <= _DEGENERATE * across * down:
            return cls()
        mirror = math.copysign(1, area)
        turn_deg = math.degrees(math.atan2(mirror * b / across - c / down, mirror * a / across + d / down))
        nearest = round(turn_deg / 90)
        sar = None if abs(across / down - 1) <= _SAME_ASPECT else Fraction(across / down).limit_denominator(1000)
        return cls(Orientation(mirror < 0, nearest % 4), abs(turn_deg - 90 * nearest), sar)

    @classmethod
    def of_frame(cls, frame: av.VideoFrame) -> "Display":
        """From the frame's own display matrix, or the one that `Displays` carried to it; upright without either."""
        return _stored(frame) or (carried if isinstance(carried := frame.opaque, cls) else _PLAIN)


_PLAIN = Display()


class Displays:
    """Gives every frame of a stream its display.

    An orientation message of H.264 or H.265 holds until the next keyframe, but FFmpeg attaches its matrix only to the
    frame that has the message, and encoders write messages only to keyframes.
    """

    def __init__(self) -> None:
        self._last = _PLAIN

    def apply(self, frame: av.VideoFrame) -> None:
        """Carry the display over to a frame without its own matrix. Call for every decoded frame, in order."""
        stored = _stored(frame)
        if stored is not None or frame.key_frame:
            self._last = stored or _PLAIN
        elif self._last != _PLAIN:
            # A copy for each frame: PyAV drops an object that frames share when the first of them is freed.
            frame.opaque = replace(self._last)


def _stored(frame: av.VideoFrame) -> Display | None:
    """By the first matrix; None if there is none. The container's matrix comes before that of the bitstream."""
    # With `frame.side_data` the frame refers to itself: its pixels stay in memory until garbage is collected.
    found = SideDataContainer(frame)  # type: ignore[call-arg]
    for data in cast(Iterable[SideData], found):
        if data.type is Type.DISPLAYMATRIX:
            return _parsed(bytes(data))
    return None


@lru_cache(maxsize=64)
def _parsed(matrix: bytes) -> Display:
    """matrix: nine int32 in native byte order; a, b, c and d are 16.16 fixed-point numbers."""
    a, b, _, c, d = struct.unpack_from("5i", matrix)
    return Display.of_matrix(a, b, c, d)


def _unknown(cls: type[Type], value: object) -> Type:
    """A type of side data that PyAV does not list, such as EXIF data. Without this, `side_data` raises ValueError."""
    member = object.__new__(cls)
    vars(member).update(_name_=f"UNKNOWN_{value}", _value_=value)
    return member


Type._missing_ = classmethod(_unknown)  # type: ignore[assignment]
