"""A file as a live source: its times over several passes, its sound, its pace."""

import time
from collections import deque
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from PIL import Image

from stream.address import Address
from stream.errors import UnreadableMedia, UsageError
from stream.picture.frames import Frame, Sound
from stream.pump import Item, pump
from stream.settings import Settings
from stream.sources import open_live_source, open_source
from stream.sources.base import SourceOptions, SourceState
from stream.sources.live.played import PlayedSource
from tests.fakes import Unchanged
from tests.virtual_camera import HEIGHT, RATE, STEP, WIDTH, luma, rate_of, write_grey_clip

FRAMES = 20


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.8 s of pictures, 0.9 s of sound."""
    return write_grey_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", FRAMES, sound_s=0.9)


def number(frame: Frame) -> int:
    return round((float(frame.pixels[:HEIGHT].mean()) - luma(0)) / STEP)


def frames(items: list[Item]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


def sound(items: list[Item]) -> list[Sound]:
    return [item for item in items if isinstance(item, av.Packet)]


def test_a_file_plays_once_with_all_its_frames(clip: Path) -> None:
    states: list[SourceState] = []
    source = PlayedSource(clip, Settings(), on_state=states.append)
    items = list(source)
    source.close()
    assert [number(frame) for frame in frames(items)] == [*range(FRAMES)]
    assert [frame.time_s for frame in frames(items)] == pytest.approx([n / RATE for n in range(FRAMES)])
    assert all(frame.arrived_s > 0 for frame in frames(items))
    assert [str(state) for state in states] == ["live"]
    assert (source.info.width, source.info.height, source.info.rate) == (WIDTH, HEIGHT, Fraction(RATE))
    assert source.info.duration_s is None


@pytest.mark.long
def test_a_loop_has_no_gap_and_its_times_increase(clip: Path) -> None:
    source = PlayedSource(clip, Settings(), loop=True, duration_s=2.5)
    items = list(source)
    source.close()
    numbers = [number(frame) for frame in frames(items)]
    assert numbers == [n % FRAMES for n in range(len(numbers))]
    steps_s = [after.time_s - before.time_s for before, after in pairwise(frames(items))]
    joints = [step for step, n in zip(steps_s, numbers, strict=False) if n == FRAMES - 1]
    assert len(joints) == 2
    assert joints == pytest.approx([0.04 + 0.117, 0.04 + 0.117], abs=0.03), "the last frame stays while sound continues"
    assert [step for step in steps_s if step not in joints] == pytest.approx([0.04] * (len(steps_s) - 2), abs=1e-4)


@pytest.mark.slow
def test_sound_continues_over_the_passes_without_gap_or_overlap(clip: Path) -> None:
    source = PlayedSource(clip, Settings(), loop=True, duration_s=2.5)
    items = list(source)
    (track,) = source.info.sound
    packets = sound(items)
    assert len(packets) > 100
    assert all(packet.stream is track for packet in packets)
    ends = [(packet.pts + packet.duration) * packet.time_base for packet in packets]  # type: ignore[operator]
    starts = [packet.pts * packet.time_base for packet in packets]  # type: ignore[operator]
    gaps_s = [float(start - end) for start, end in zip(starts[1:], ends, strict=False)]
    assert min(gaps_s) >= 0
    assert max(gaps_s[1:]) < 0.002, "the first packet of a Matroska file has no duration"
    source.close()


@pytest.mark.slow
def test_the_sound_of_each_pass_begins_with_its_picture(clip: Path) -> None:
    source = PlayedSource(clip, Settings(), loop=True, duration_s=2.5)
    items = list(source)
    first_frames_s = [frame.time_s for frame in frames(items) if number(frame) == 0]
    starts_s = [float(packet.pts * packet.time_base) for packet in sound(items)]  # type: ignore[operator]
    assert all(min(abs(start - at) for start in starts_s) < 0.025 for at in first_frames_s)
    source.close()


@pytest.mark.slow  # these run one at a time, without other load
def test_it_plays_at_its_own_pace(clip: Path) -> None:
    source = PlayedSource(clip, Settings(), loop=True, duration_s=3.0)
    arrived_s, late_s = [], []
    began_s = time.monotonic()
    for item in source:
        if isinstance(item, Frame):
            arrived_s.append(time.monotonic())
            late_s.append(arrived_s[-1] - began_s - item.time_s)
    source.close()
    spread_s = sorted(late_s)[int(0.9 * len(late_s))] - min(late_s)
    assert spread_s < 0.03
    assert rate_of(arrived_s) == pytest.approx(len(arrived_s) / 3.0, rel=0.05)


@pytest.mark.slow  # these run one at a time, without other load
def test_sound_comes_at_its_time_and_not_with_the_next_frame(clip: Path) -> None:
    source = PlayedSource(clip, Settings())
    began_s = time.monotonic()
    packets = ((item, time.monotonic()) for item in source if not isinstance(item, Frame))
    delays_s = [at_s - began_s - float(item.pts * item.time_base) for item, at_s in packets]  # type: ignore[operator]
    source.close()
    assert sorted(delays_s)[int(0.9 * len(delays_s))] - min(delays_s) < 0.03


@pytest.mark.long
def test_after_a_pause_the_clock_agrees_with_the_time_that_has_passed(clip: Path) -> None:
    source = PlayedSource(clip, Settings())
    items = iter(source)
    before = next(item for item in items if isinstance(item, Frame))
    time.sleep(0.7)
    (last,) = deque((item for item in items if isinstance(item, Frame)), maxlen=1)
    assert last.time_s - before.time_s == pytest.approx(last.arrived_s - before.arrived_s, abs=0.1)
    source.close()


@pytest.mark.long
def test_the_newest_frame_wins_while_the_transform_is_slow(clip: Path) -> None:
    class Slow(Unchanged):
        def __call__(self, frame: Frame) -> list[Frame]:
            time.sleep(0.15)
            return [frame]

    class Sink:
        warnings: list[tuple[str, str]] = []  # noqa: RUF012

        def __init__(self) -> None:
            self.items: list[Item] = []

        def open(self, info: object) -> None: ...

        def write(self, item: Item) -> None:
            self.items.append(item)

        def close(self) -> None: ...

        def abort(self) -> None: ...

    source, sink = PlayedSource(clip, Settings()), Sink()
    pump(source, Slow(), sink)
    shown = frames(sink.items)
    assert 4 <= len(shown) <= FRAMES // 2
    assert source.slot.dropped == FRAMES - len(shown)
    assert source.slot.sound_dropped == 0
    assert len(sound(sink.items)) > 35


def test_end_stops_it_at_once(clip: Path) -> None:
    source = PlayedSource(clip, Settings(), loop=True)
    seen = 0
    for item in source:
        seen += isinstance(item, Frame)
        if seen == 3:
            source.end()
    source.close()
    source.close()
    assert seen == 3


def test_a_large_file_is_scaled_down_to_the_limit_of_live_video(clip: Path) -> None:
    source = PlayedSource(clip, Settings(live_pixels=32 * 24), duration_s=0.1)
    assert {(frame.width, frame.height) for frame in frames(list(source))} == {(32, 24)}
    (warning,) = source.warnings
    limit = "over the limit of 768 pixels (MATTEBOX_LIVE_PIXELS)"
    assert warning == ("scaled_down", f"scaled down from 64x48 to 32x24: {limit}")
    source.close()


def test_a_file_is_a_live_source_only_where_one_is_requested(clip: Path) -> None:
    live = open_live_source(Address.file(clip), SourceOptions(loop=True, size=(32, 24)), Settings())
    assert isinstance(live, PlayedSource)
    live.close()
    with pytest.raises(UsageError, match="file:// does not support a loop"):
        open_source(clip, SourceOptions(loop=True), Settings())


def test_pictures_and_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.mkv").write_text("no video")
    with pytest.raises(UnreadableMedia):
        open_live_source(Address.file(tmp_path / "notes.mkv"), SourceOptions(), Settings())
    picture = tmp_path / "one.png"
    Image.new("RGB", (8, 8)).save(picture)
    with pytest.raises(UsageError, match=r"the source must be live .* or the name of a video file"):
        open_live_source(Address.file(picture), SourceOptions(), Settings())
