"""Changes MPEG-TS files byte by byte."""

from collections.abc import Callable, Collection
from pathlib import Path

PICTURE, SOUND = range(0xE0, 0xF0), range(0xC0, 0xE0)
"""Stream ids of PES packets."""
_PACKET = 188


def with_times(path: Path, source: Path, ids: range, numbers: Collection[int], by_s: float) -> Path:
    """A copy in which the times of some PES packets are later by `by_s`. ids: `PICTURE` or `SOUND`. numbers: from 1."""
    content, number = bytearray(source.read_bytes()), 0
    for packet in range(0, len(content), _PACKET):
        at = _start_of_pes(content, packet)
        if at is None or content[at + 3] not in ids or not content[at + 7] >> 6:
            continue
        number += 1
        if number in numbers:
            _change(content, at + 9, lambda ticks: ticks + round(by_s * 90_000))
            if content[at + 7] >> 6 == 3:
                _change(content, at + 14, lambda ticks: ticks + round(by_s * 90_000))
    path.write_bytes(content)
    return path


def _start_of_pes(content: bytearray, packet: int) -> int | None:
    if not content[packet + 1] & 0x40:
        return None
    at = packet + 4 + (1 + content[packet + 4] if content[packet + 3] & 0x20 else 0)
    return at if content[at : at + 3] == b"\0\0\1" else None


def _change(content: bytearray, at: int, change: Callable[[int], int]) -> None:
    """Change the time of 33 bits at this offset."""
    a, b, c, d, e = content[at : at + 5]
    ticks = change((a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1)
    content[at : at + 5] = bytes(
        (
            a & 0xF0 | ticks >> 29 & 0x0E | 1,
            ticks >> 22 & 0xFF,
            ticks >> 14 & 0xFE | 1,
            ticks >> 7 & 0xFF,
            ticks << 1 & 0xFE | 1,
        )
    )
