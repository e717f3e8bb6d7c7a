"""Clips that are stored in one of EXIF's eight orientations, and writers of the headers and messages that state it."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stream.picture.frames import Frame
from tests.media import Image

UPRIGHT = ((40, 100), (160, 220))
"""Luma in the four corners of `quartered`, by row and column."""

MATRIX = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
"""a, b, c, d of ISO 14496-12, 6.2.2: (x, y) is shown at (ax + cy, bx + dy). By the orientation's number in EXIF."""

_MESSAGE = {2: (1, 0, 0), 3: (0, 0, 2), 4: (0, 1, 0), 5: (1, 0, 1), 6: (0, 0, 3), 7: (1, 0, 3), 8: (0, 0, 1)}
"""Flips left to right and top to bottom, then quarter turns anticlockwise (ITU-T H.264, D.2.27)."""


def quartered(width: int = 96, height: int = 48) -> Image:
    """RGB (H, W, 3): four grey quarters."""
    levels = np.rint((np.array(UPRIGHT) - 16) * 255 / 219).astype(np.uint8)
    return np.repeat(np.repeat(np.repeat(levels[..., None], 3, 2), height // 2, 0), width // 2, 1)


def corners(frame: Frame) -> tuple[tuple[int, int], tuple[int, int]]:
    """Luma in the corners of a frame, as in `UPRIGHT`, to the nearest of its levels."""
    luma = frame.planes()[0]
    rows, columns = frame.height // 4, frame.width // 4
    near = [[_level(int(luma[y, x])) for x in (columns, 3 * columns)] for y in (rows, 3 * rows)]
    return (near[0][0], near[0][1]), (near[1][0], near[1][1])


def _level(value: int) -> int:
    return min((level for row in UPRIGHT for level in row), key=lambda level: abs(level - value))


def set_matrix(path: Path, abcd: Sequence[float], translation: tuple[float, float] = (0, 0), box: str = "tkhd") -> None:
    """Write the matrix of the track header, or of the movie header ("mvhd"), of an MP4 or MOV file."""
    a, b, c, d, x, y = (round(v * 65536) for v in (*abcd, *translation))
    content = bytearray(path.read_bytes())
    at = content.index(box.encode()) + (44 if box == "tkhd" else 40)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, x, y, 1 << 30)
    path.write_bytes(content)


def with_message(packet: bytes, orientation: int, codec: str = "h264") -> bytes:
    """A keyframe in Annex B format, with a display orientation message (SEI) before the picture."""
    hflip, vflip, quarters = _MESSAGE[orientation]
    bits = f"0{hflip}{vflip}{quarters * 0x4000:016b}" + ("0101" if codec == "h264" else "11")
    bits += "0" * (24 - len(bits))  # after the bit that marks the end
    message = b"\x2f\x03" + int(bits, 2).to_bytes(3, "big") + b"\x80"
    header, pictures = (b"\x06", b"\x65") if codec == "h264" else (b"\x4e\x01", b"\x26\x28\x2a")
    at = min(at for kind in pictures if (at := packet.find(b"\0\0\1" + bytes([kind]))) >= 0)
    return packet[:at] + b"\0\0\1" + header + message + packet[at:]
