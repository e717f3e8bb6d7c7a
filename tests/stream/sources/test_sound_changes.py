from pathlib import Path
from typing import Any

import av
import pytest

from stream.settings import Settings
from stream.sources.sound_changes import changing_sound
from tests.sounds import clip_with, joined, tones, with_packets

SETTINGS = Settings(threads=1)


@pytest.mark.parametrize(
    ("codec", "layout", "rate", "changes"),
    [
        ("aac", "stereo", 48_000, False),
        ("aac", "mono", 48_000, True),
        ("aac", "stereo", 24_000, True),
        ("mp2", "stereo", 48_000, False),
        ("mp2", "stereo", 44_100, True),
        ("eac3", "5.1(side)", 48_000, True),
    ],
)
def test_joined_recordings(tmp_path: Path, codec: str, layout: str, rate: int, changes: bool) -> None:
    count = av.AudioLayout(layout).nb_channels
    first = clip_with(tmp_path / "a.ts", tones(2), codec=codec)
    second = clip_with(tmp_path / "b.ts", tones(count, rate=rate), codec=codec, layout=layout, rate=rate)
    calls: list[None] = []
    found = changing_sound(joined(tmp_path / "in.ts", first, second), SETTINGS, lambda: calls.append(None))
    assert found == (frozenset({1}) if changes else frozenset())
    assert calls


def test_a_damaged_packet_is_not_a_change(tmp_path: Path) -> None:
    stereo = clip_with(tmp_path / "in.mkv", tones(2, 2.0), codec="ac3")
    surround = clip_with(tmp_path / "other.mkv", tones(6, 1.0), codec="ac3", layout="5.1(side)")
    with av.open(str(surround)) as container:
        other = next(bytes(packet) for packet in container.demux(audio=0))

    def exchange(number: int, packet: Any) -> Any:
        if number != 20:
            return packet
        strange = av.Packet(other)
        strange.pts, strange.dts, strange.time_base = packet.pts, packet.dts, packet.time_base
        return strange

    assert changing_sound(with_packets(tmp_path / "damaged.mkv", stereo, exchange), SETTINGS) == frozenset()


def test_raw_audio_is_not_read(tmp_path: Path) -> None:
    calls: list[None] = []
    clip = clip_with(tmp_path / "in.mkv", tones(2), codec="pcm_s16le")
    assert changing_sound(clip, SETTINGS, lambda: calls.append(None)) == frozenset()
    assert not calls
