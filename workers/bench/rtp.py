"""H.264 in RTP packets (RFC 6184), for the RTSP server of `mattebox bench feed`."""

import re
from collections.abc import Iterable, Iterator, Sequence

CLOCK = 90_000
START = b"\0\0\0\1"
_HEAD = 12  # bytes of an RTP header without extras
_FRAGMENT = 1400  # bytes of a NAL unit in one packet
_FU_A = 28
_FIRST, _LAST, _MARKER = 0x80, 0x40, 0x80


def nal_units(stream: bytes) -> list[bytes]:
    """The NAL units of a byte stream with start codes."""
    return [unit for unit in re.split(rb"\x00\x00\x00?\x01", stream) if unit]


class Packetizer:
    """Numbers the packets of one stream."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, units: Sequence[bytes], ticks: int) -> Iterator[bytes]:
        """The packets of a frame; the last one is marked. ticks: the frame's time, by `CLOCK`."""
        payloads = [payload for unit in units for payload in _split(unit)]
        for index, payload in enumerate(payloads):
            kind = 96 | _MARKER * (index == len(payloads) - 1)
            number, time = (self._number & 0xFFFF).to_bytes(2, "big"), (ticks & 0xFFFFFFFF).to_bytes(4, "big")
            self._number += 1
            yield bytes([0x80, kind]) + number + time + b"cam1" + payload


def is_last(packet: bytes) -> bool:
    """Whether the packet is the last one of its frame."""
    return bool(packet[1] & _MARKER)


def units_in(packets: Iterable[bytes]) -> list[bytes]:
    """The NAL units in the packets of a frame, complete and in order."""
    units: list[bytes] = []
    for packet in packets:
        payload = packet[_HEAD + 4 * (packet[0] & 0x0F) :]
        match payload[0] & 0x1F:
            case 24:
                units += _aggregated(payload)
            case 28 if payload[1] & _FIRST:
                units.append(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]) + payload[2:])
            case 28:
                units[-1] += payload[2:]
            case _:
                units.append(payload)
    return units


def _aggregated(payload: bytes) -> Iterator[bytes]:
    """The units of a STAP-A packet."""
    at = 1
    while at + 2 < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        yield payload[at + 2 : at + 2 + size]
        at += 2 + size


def _split(unit: bytes) -> Iterator[bytes]:
    """The unit itself, or its FU-A fragments."""
    if len(unit) <= _FRAGMENT:
        yield unit
        return
    kind, parts = unit[0], range(1, len(unit), _FRAGMENT)
    for start in parts:
        flags = _FIRST * (start == parts[0]) | _LAST * (start == parts[-1])
        yield bytes([kind & 0xE0 | _FU_A, flags | kind & 0x1F]) + unit[start : start + _FRAGMENT]
