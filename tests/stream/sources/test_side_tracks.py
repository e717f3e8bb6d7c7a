"""Subtitles and data of MPEG-TS files whose clock jumps or restarts are in step with the frames."""

from contextlib import closing
from pathlib import Path

import pytest

from stream.settings import Settings
from stream.sources.file import FileSource
from tests.media import remuxed
from tests.rich_clips import rich_clip
from tests.sounds import joined

CUES = [(200, 900, "a" * 30), (1000, 1500, "b" * 30)]


def found(clip: Path, start_s: float = 0.0) -> list[tuple[float, bytes]]:
    """Times in seconds and first bytes of the data packets."""
    with closing(FileSource(clip, Settings(threads=1), start_s)) as source:
        assert source.info.extras is not None
        assert source.info.extras.open_tracks is not None
        with closing(source.info.extras.open_tracks()) as opened:
            return [(float(packet.start_s), bytes(packet.packet)[-1:]) for packet in opened.packets()]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Of 2 s."""
    return rich_clip(tmp_path / "in.ts", data="timed_id3", cues=CUES)


def test_the_data_of_one_recording(clip: Path) -> None:
    (first_s, first), (second_s, second) = found(clip)
    assert (first_s, second_s) == pytest.approx((0.2, 1), abs=0.1)
    assert first + second == b"ab"


def test_data_of_joined_recordings_follow_the_frames(tmp_path: Path, clip: Path) -> None:
    times = found(joined(tmp_path / "joined.ts", clip, clip, clip))
    assert [time for time, _ in times] == pytest.approx([0.2, 1, 2.2, 3, 4.2, 5], abs=0.15)
    assert b"".join(content for _, content in times) == b"ababab"


def test_data_after_a_jump_of_the_clock_follow_the_frames(tmp_path: Path, clip: Path) -> None:
    later = remuxed(clip, tmp_path / "later.ts", picture_s=20_000, sound_s=20_000)
    times = found(joined(tmp_path / "jump.ts", clip, later))
    assert [time for time, _ in times] == pytest.approx([0.2, 1, 2.2, 3], abs=0.15)


def test_a_part_has_its_data(tmp_path: Path, clip: Path) -> None:
    times = found(joined(tmp_path / "joined.ts", clip, clip), start_s=1.5)
    assert [time for time, _ in times] == pytest.approx([0.7, 1.5], abs=0.15)
