"""What FFmpeg and the benchmark's own server send as RTP is put together again unchanged."""

import numpy as np
import pytest

from workers.bench.rtp import START, Packetizer, is_last, nal_units, units_in


def unit(kind: int, size: int) -> bytes:
    rng = np.random.default_rng(size)
    return bytes([0x60 | kind]) + rng.integers(1, 256, size - 1, np.uint8).tobytes()


@pytest.mark.parametrize("size", [2, 1400, 1401, 2801, 9000])
def test_a_frame_survives(size: int) -> None:
    units = [unit(7, 20), unit(8, 4), unit(5, size)]
    packets = list(Packetizer()(units, 90_000))
    assert units_in(packets) == units
    assert [is_last(packet) for packet in packets] == [False] * (len(packets) - 1) + [True]
    assert max(map(len, packets)) < 1500


def test_packets_are_numbered_across_frames_and_carry_the_time() -> None:
    packetize = Packetizer()
    packets = [*packetize([unit(5, 3000)], 3000), *packetize([unit(1, 50)], 2**32 + 7)]
    assert [int.from_bytes(packet[2:4], "big") for packet in packets] == [0, 1, 2, 3]
    assert int.from_bytes(packets[0][4:8], "big") == 3000
    assert int.from_bytes(packets[-1][4:8], "big") == 7


def test_aggregated_units_are_separated() -> None:
    units = [unit(6, 30), unit(1, 300)]
    stap_a = b"\x78" + b"".join(len(part).to_bytes(2, "big") + part for part in units)
    assert units_in([b"\x80\xe0" + bytes(10) + stap_a]) == units


def test_start_codes_of_both_lengths() -> None:
    assert nal_units(START + b"\x67ab" + b"\0\0\1" + b"\x65cd") == [b"\x67ab", b"\x65cd"]
