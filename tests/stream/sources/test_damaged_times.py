"""Single damaged times of MPEG-TS and MPEG-PS are repaired, and move nothing else."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.damaged_times import TimeRepair
from stream.sources.file import FileSource
from tests.media import number_of, numbered_clip
from tests.sounds import joined
from tests.transport import PICTURE, SOUND, with_times

CLOCK = Fraction(1, 90_000)
STEP = 3_000


def packets(times: Sequence[int | None], stream: int = 0, delay: int = 0) -> list[Any]:
    return [
        SimpleNamespace(
            stream=SimpleNamespace(index=stream, type="video"),
            pts=None if time is None else time + delay,
            dts=time,
            duration=STEP,
            time_base=CLOCK,
        )
        for time in times
    ]


def repaired(times: Sequence[int | None]) -> tuple[list[int | None], int]:
    repair = TimeRepair()
    found = [(p.dts, p.pts) for p in repair.packets(packets(times, delay=STEP))]
    assert all(pts == (None if dts is None else dts + STEP) for dts, pts in found)
    return [dts for dts, _ in found], repair.repaired


@pytest.mark.parametrize("by_s", [-95_000, -10, -0.3, 0.3, 5, 40_000])
@pytest.mark.parametrize("damaged", [(5,), (5, 6, 7), (5, 9), range(5, 12)])
def test_damaged_times_are_computed_from_those_around_them(damaged: Sequence[int], by_s: float) -> None:
    times = [n * STEP for n in range(1, 60)]
    wrong = [time + round(by_s * 90_000) * (n in damaged) for n, time in enumerate(times)]
    assert repaired(wrong) == (times, len(damaged))


@pytest.mark.parametrize(
    "times",
    [
        [*range(0, 60 * STEP, STEP)],
        [*range(0, 30 * STEP, STEP), *range(0, 30 * STEP, STEP)],  # a joined recording
        [*range(0, 30 * STEP, STEP), *range(27 * STEP, 60 * STEP, STEP)],  # one that overlaps by three frames
        [*range(0, 30 * STEP, STEP), *range(20 * STEP, 60 * STEP, STEP)],
        [*range(0, 30 * STEP, STEP), *range(300 * STEP, 330 * STEP, STEP)],  # a pause
        [*range(0, 30 * STEP, STEP), 2**32, *range(2**32 + STEP, 2**32 + 40 * STEP, STEP)],  # a jump of the clock
        [0, 1000, 50 * STEP, 51 * STEP, 120 * STEP, 121 * STEP, 122 * STEP],  # a variable rate
        [0, None, None, 3 * STEP, 4 * STEP],
        [5 * STEP],
        [],
    ],
)
def test_other_times_stay(times: list[int | None]) -> None:
    assert repaired(times) == (times, 0)


@pytest.mark.parametrize("first", [-(2**32), 9 * STEP, 2**32])
def test_a_damaged_time_at_the_start_becomes_unknown(first: int) -> None:
    assert repaired([first, *range(STEP, 9 * STEP, STEP)]) == ([None, *range(STEP, 9 * STEP, STEP)], 1)


def test_a_time_far_ahead_at_the_end_is_damaged() -> None:
    assert repaired([0, STEP, 2 * STEP, 2**32]) == ([0, STEP, 2 * STEP, 3 * STEP], 1)


def test_a_presentation_time_far_from_the_decoding_time_is_removed() -> None:
    found = packets(range(0, 10 * STEP, STEP))
    found[4].pts += 90_000 * 100
    found[6].pts -= 90_000
    found[8].dts, found[8].pts = 2**33 - STEP, STEP  # at the wrap of the clock
    assert [n for n, p in enumerate(TimeRepair().packets(found)) if p.pts is None] == [4, 6]


def test_streams_are_independent_and_packets_keep_their_order() -> None:
    pictures, sounds = packets(range(0, 40 * STEP, STEP)), packets(range(0, 40 * STEP, STEP), stream=1)
    pictures[10].pts = pictures[10].dts = 2**32
    mixed = [packet for pair in zip(pictures, sounds, strict=True) for packet in pair]
    assert list(TimeRepair().packets(mixed)) == mixed
    assert pictures[10].dts == 10 * STEP


@pytest.mark.parametrize("by_s", [-100, 0.3, 5, 50_000])
@pytest.mark.parametrize(("ids", "number"), [(PICTURE, 12), (PICTURE, 1), (SOUND, 2), (SOUND, 1)])
def test_one_damaged_time_moves_nothing(tmp_path: Path, ids: range, number: int, by_s: float) -> None:
    clip = numbered_clip(tmp_path / "clip.ts", 45, sound_s=1.5)
    (frames, sounds), right = times(clip), [(n, n / 30) for n in range(45)]
    damaged = with_times(tmp_path / "damaged.ts", clip, ids, {number}, by_s)
    found, found_sounds = times(damaged, "damaged_times")
    assert [n for n, _ in found] == [n for n, _ in frames] == [n for n, _ in right]
    assert [time for _, time in found] == pytest.approx([time for _, time in frames], abs=0.1)
    assert found_sounds == pytest.approx(sounds, abs=0.1)


def test_damage_in_joined_recordings(tmp_path: Path) -> None:
    part = numbered_clip(tmp_path / "part.ts", 45, sound_s=1.5)
    damaged = with_times(tmp_path / "damaged.ts", part, PICTURE, {20}, 20_000)
    found, _ = times(joined(tmp_path / "in.ts", part, damaged, part), "damaged_times")
    assert [n for n, _ in found] == [*range(45)] * 3
    assert found[-1][1] == pytest.approx(4.5, abs=0.3)


def times(clip: Path, *codes: str) -> tuple[list[tuple[int, float]], list[float]]:
    """(number, time in seconds) of all frames, and the times of all packets of sound. codes: of the warnings."""
    source = FileSource(clip, Settings(threads=1))
    try:
        items: list[Any] = list(source)
    finally:
        source.close()
    assert [code for code, _ in source.warnings] == [*codes]
    frames = [(number_of(item), item.time_s) for item in items if isinstance(item, Frame)]
    return frames, [float(item.pts * item.time_base) for item in items if not isinstance(item, Frame)]
