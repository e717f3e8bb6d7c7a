"""Recordings and HLS: what is there after a crash, and what players read."""

import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import pytest

from stream.address import Address
from stream.errors import DiskError
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live.fan_out import FanOut
from stream.sinks.live.hls import hls_options
from stream.sinks.live.spec import OutputSpec
from tests.feeding import INFO, RATE, feeding, missing, number_of
from tests.media import ROOT
from tests.waiting import until

SETTINGS = Settings(hw_encode=False, rtsp_retry_s=0.05)
_PROGRAM = """
import sys, time
from pathlib import Path
from tests.feeding import Feed
from stream.address import Address
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.live.fan_out import FanOut
from stream.sinks.live.spec import OutputSpec

sink = FanOut([OutputSpec(Address.file(Path(sys.argv[1])))], Options(), Settings(hw_encode=False))
feed = Feed(sink)
while True:
    print(sink.outputs()[0].frames, flush=True)
    time.sleep(0.05)
"""


def fan_out(path: Path, segment_s: float = 2.0) -> FanOut:
    return FanOut([OutputSpec(Address.file(path), segment_s=segment_s)], Options(), SETTINGS)


def numbers(path: Path) -> list[int]:
    with av.open(path) as container:
        return [number_of(picture) for picture in container.decode(video=0)]


def children_of(pid: int) -> list[int]:
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry))
    return found


@pytest.mark.long
def test_a_recording_survives_sigkill_of_everything(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(tmp_path / "out.mp4")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with program:
        assert program.stdout is not None
        written = 0
        while written < 4 * RATE:
            written = int(program.stdout.readline())
        for pid in [*children_of(program.pid), program.pid]:
            os.kill(pid, signal.SIGKILL)
    (left,) = tmp_path.iterdir()
    assert re.fullmatch(r"\.out\.mp4\..*\.part", left.name)
    kept = numbers(left)
    assert not missing(kept)
    assert kept[0] == 0
    assert len(kept) >= written - 2 * RATE


@pytest.mark.long
def test_a_completed_recording_is_an_ordinary_file(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    with feeding(fan_out(out)) as feed:
        until(lambda: feed.next > 3 * RATE)
        assert not out.exists()
    assert numbers(out) == list(range(feed.next))
    with av.open(out) as container:
        (stream,) = container.streams
        assert stream.frames == feed.next, "an index of all frames"
        assert abs(float(container.duration or 0) / 1e6 - feed.next / RATE) < 0.1


def test_nothing_is_left_of_a_recording_without_a_frame(tmp_path: Path) -> None:
    sink = fan_out(tmp_path / "out.mp4")
    sink.open(INFO)
    sink.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_recording_on_a_full_disk_ends_with_the_reason(small_disk: Path) -> None:
    sink = fan_out(small_disk / "out.mp4")
    with feeding(sink):
        until(lambda: sink.outputs()[0].frames > 3)
        free = os.statvfs(small_disk)
        (small_disk / "other").write_bytes(bytes(free.f_bavail * free.f_frsize))
        until(lambda: sink.outputs()[0].state == "ended")
    assert sink.outputs()[0].reason == f"cannot write {small_disk / 'out.mp4'}: the disk is full"


@pytest.mark.long
def test_hls_is_a_sliding_list_of_segments_that_each_begin_with_a_keyframe(tmp_path: Path) -> None:
    playlist = tmp_path / "live" / "room.m3u8"
    with feeding(fan_out(playlist)) as feed:
        until(lambda: playlist.exists() and playlist.read_text().count("#EXTINF") >= 2)
        text = playlist.read_text()
        until(lambda: feed.next > 5 * RATE)
        assert not [path for path in playlist.parent.iterdir() if path.suffix == ".m3u8" and path != playlist]
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in text
    assert "#EXT-X-ENDLIST" not in text
    assert all(1.9 <= float(length) <= 2.1 for length in re.findall(r"#EXTINF:([0-9.]+)", text))
    assert "/" not in "".join(line for line in text.splitlines() if not line.startswith("#EXT-X-PROGRAM"))
    assert "#EXT-X-ENDLIST" in playlist.read_text()
    assert numbers(playlist) == list(range(feed.next))


@pytest.mark.slow
def test_segments_may_be_shorter_and_an_output_beside_keeps_its_keyframes(tmp_path: Path) -> None:
    playlist, recording = tmp_path / "live" / "room.m3u8", tmp_path / "out.mp4"
    sink = fan_out(playlist, segment_s=1.0)
    sink.add(OutputSpec(Address.file(recording)))
    with feeding(sink) as feed:
        until(lambda: feed.next > 5 * RATE)
    lengths = [float(length) for length in re.findall(r"#EXTINF:([0-9.]+)", playlist.read_text())]
    assert len(lengths) >= 5
    assert all(0.95 <= length <= 1.05 for length in lengths[:-1])
    assert "#EXT-X-TARGETDURATION:1\n" in playlist.read_text()
    assert numbers(playlist) == list(range(feed.next))
    with av.open(recording) as container:
        keys = [float((p.pts or 0) * (p.time_base or 0)) for p in container.demux(video=0) if p.is_keyframe and p.size]
    assert [after - before for before, after in pairwise(keys)] == pytest.approx([2.0] * (len(keys) - 1))


def test_about_twelve_seconds_are_listed_and_at_least_three_segments() -> None:
    listed = {length: hls_options(Path("/x/a.m3u8"), 0.0, length)["hls_list_size"] for length in (1.0, 2.0, 5.0, 10.0)}
    assert listed == {1.0: "12", 2.0: "6", 5.0: "3", 10.0: "3"}


def test_a_later_playlist_continues_with_higher_numbers() -> None:
    first, second = (int(hls_options(Path("/x/a.m3u8"), now_s, 2.0)["start_number"]) for now_s in (1000.0, 1002.0))
    assert second > first


def test_the_folder_of_a_playlist_is_made_but_not_its_parents(tmp_path: Path) -> None:
    fan_out(tmp_path / "live" / "a.m3u8")
    assert (tmp_path / "live").is_dir()
    with pytest.raises(DiskError):
        fan_out(tmp_path / "none" / "live" / "a.m3u8")
