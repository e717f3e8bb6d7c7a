"""The orientation in which a decoded frame is shown, from its display matrix.

FFmpeg translates to a display matrix what it finds in the track header of MP4 and MOV, in the projection of Matroska,
in display orientation messages (SEI) of H.264 and H.265, and in EXIF data of JPEG pictures.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import cast

import av
from av.sidedata.sidedata import SideData, Type

from stream.picture.orientation import Orientation

_UPRIGHT = Orientation()
_DEGENERATE = 0.1  # sine of the angle between the axes below which a matrix shows no picture
_SAME_ASPECT = 0.01  # relative difference of the axes' lengths up to which pixels keep their shape, as in FFmpeg


@dataclass(frozen=True, slots=True)
class Display:
    """How a frame is shown.

    orientation: the nearest of the eight cases. off_deg: angle between it and the one that the matrix asks for, 0 to
    45 degrees; halfway between two cases, the picture is turned less. sar: width over height of a stored pixel where
    the matrix scales the two axes differently, which overrides other aspect ratios; None otherwise.
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
        """That of the frame's display matrix, or that which `Displays` carried to it; upright without either."""
        return _stored(frame) or (carried if isinstance(carried := frame.opaque, cls) else _PLAIN)


_PLAIN = Display()


class Displays:
    """Gives every frame of a stream its display.

    An orientation message of H.264 or H.265 holds until the next keyframe. FFmpeg attaches its matrix only to the frame
    whose message it is, and encoders write it only to keyframes.
    """

    def __init__(self) -> None:
        self._last = _PLAIN

    def apply(self, frame: av.VideoFrame) -> None:
        """Call for every decoded frame, in order."""
        stored = _stored(frame)
        if stored is not None or frame.key_frame:
            self._last = stored or _PLAIN
        elif self._last != _PLAIN:
            frame.opaque = replace(self._last)  # a copy: PyAV forgets the object of all frames that share it, with one


def _stored(frame: av.VideoFrame) -> Display | None:
    """By the first matrix: that of the container, which comes before that of the bitstream."""
    for data in cast(Iterable[SideData], frame.side_data):
        if data.type is Type.DISPLAYMATRIX:
            return _parsed(bytes(data))
    return None


@lru_cache(maxsize=64)
def _parsed(matrix: bytes) -> Display:
    """matrix: nine int32, of which a, b, c and d are fixed-point numbers with 16 bits after the point."""
    a, b, _, c, d = struct.unpack_from("5i", matrix)
    return Display.of_matrix(a, b, c, d)


def _unknown(cls: type[Type], value: object) -> Type:
    """A kind of side data that PyAV does not list, such as EXIF data: by default `side_data` raises ValueError."""
    member = object.__new__(cls)
    vars(member).update(_name_=f"UNKNOWN_{value}", _value_=value)
    return member


Type._missing_ = classmethod(_unknown)  # type: ignore[assignment]
