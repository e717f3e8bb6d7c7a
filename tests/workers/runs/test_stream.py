"""Recording of a live source, in this process; the command's own test kills and freezes the camera."""

import io
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from stream.errors import DiskError, NoVideoStream, UsageError
from stream.progress import LineReporter
from stream.records.options import Options
from stream.settings import Settings
from tests.flashes import make_clip, measured, offsets_s
from tests.gst_rtsp import GstRtspServer
from tests.media import read
from tests.rtsp import ROOM, RtspServer, near
from workers.runs.stream import StreamRun, ended_by_signals, record

OPTIONS = Options.read(engine="chroma", key="#00c83c", background="color:#0000ff")


@pytest.fixture(scope="module")
def server() -> Iterator[RtspServer]:
    server = RtspServer("--user", "ann:hush")
    yield server
    server.kill()


def test_a_recording_ends_by_itself(server: RtspServer, tmp_path: Path) -> None:
    log, before = io.StringIO(), signal.getsignal(signal.SIGINT)
    out = tmp_path / "out.mkv"
    task = StreamRun(server.url(user="ann:hush"), str(out), OPTIONS, duration_s=0.6, size=(160, 0))
    report = record(task, Settings(), LineReporter(log))
    frames = read(out)
    assert (frames[0].width, frames[0].height) == (160, 120)
    assert 0.4 < frames[-1].time_s <= 0.6
    assert not any(near(frame, ROOM).any() for frame in frames)
    assert (report.frames, report.input, report.engine) == (len(frames), server.url(), "chroma")
    assert "source live" in log.getvalue()
    assert "hush" not in log.getvalue() + repr(task) + repr(report)
    assert signal.getsignal(signal.SIGINT) is before


def test_pictures_that_are_too_large_are_scaled_down_with_a_warning(server: RtspServer, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    task = StreamRun(server.url(user="ann:hush"), str(out), OPTIONS, duration_s=0.2)
    report = record(task, Settings(live_pixels=160 * 120), LineReporter(io.StringIO()))
    assert (report.width, report.height) == (160, 120)
    warning = "scaled down from 320x240 to 160x120: over the limit of 19,200 pixels (MATTEBOX_LIVE_PIXELS)"
    assert ("scaled_down", warning) in report.warnings


@pytest.mark.long
def test_unusable_pictures_are_not_counted_as_late(tmp_path: Path) -> None:
    server = RtspServer("--stretched")
    try:
        task = StreamRun(server.url(), str(tmp_path / "out.mkv"), OPTIONS, duration_s=1.0, size=(2560, 240))
        report = record(task, Settings(max_pixels=320 * 240), LineReporter(io.StringIO()))
    finally:
        server.kill()
    warnings = dict(report.warnings)
    assert re.fullmatch(r"[0-9]+ frames were dropped: they could not be used", warnings["unusable"])


@pytest.mark.long
def test_a_recording_ends_before_the_disk_is_full(
    server: RtspServer, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.runs.stream._SPARE_BYTES", 2**20)
    monkeypatch.setattr("workers.runs.stream._CHECK_S", 0.1)
    (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free - 2**20 - 32_000))
    out = small_disk / "out.mov"  # a large file, so that the disk is full soon
    report = record(StreamRun(server.url(user="ann:hush"), str(out), OPTIONS), Settings(), LineReporter(io.StringIO()))
    assert ("disk", "the disk is nearly full: the recording was stopped") in report.warnings
    assert len(read(out)) == report.frames > 5
    with pytest.raises(DiskError, match="less than 1 MiB are free"):
        record(StreamRun(server.url(user="ann:hush"), str(out), OPTIONS), Settings(), LineReporter(io.StringIO()))
    assert len(read(out)) == report.frames, "the earlier recording is kept"


def test_without_a_single_picture_there_is_no_file(server: RtspServer, tmp_path: Path) -> None:
    task = StreamRun(server.url(user="ann:wrong"), str(tmp_path / "out.mkv"), OPTIONS, duration_s=0.2)
    with pytest.raises(NoVideoStream, match=r"no picture was received from .*: wrong user or password \(401\)"):
        record(task, Settings(), LineReporter(io.StringIO()))
    assert not list(tmp_path.iterdir())


def test_a_duration_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--duration 0 would record nothing"):
        record(
            StreamRun("rtsp://cam/x", str(tmp_path / "out.mkv"), OPTIONS, 0.0), Settings(), LineReporter(io.StringIO())
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_and_the_second_interrupts(number: signal.Signals) -> None:
    ended: list[bool] = []
    before = signal.signal(number, signal.default_int_handler)
    try:
        with ended_by_signals(lambda: ended.append(True)):
            signal.raise_signal(number)
            assert ended == [True]
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("rtsp://u:hush@cam/x", "gopher://server:9000", "gopher:// is not supported as an output"),
        ("rtsp://u:hush@cam/x", "rtmp:u:hush@server/y", "write the address as rtmp://HOST"),
        ("pattern:hush", "out.mp4", "the source must be live"),
        ("rtsp://cam/x", "out.xyz", ".xyz is not an output format"),
    ],
)
def test_unsupported_sources_and_outputs_are_refused(source: str, output: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        record(StreamRun(source, output, OPTIONS), Settings(), LineReporter(io.StringIO()))
    assert message in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.alone
def test_sound_is_recorded_in_step(tmp_path: Path) -> None:
    """A clip whose picture flashes as its sound beeps; the key is its background, so the flashes stay."""
    clip = make_clip(tmp_path / "clip.mkv", 8)
    server = GstRtspServer("--clip", f"flash={clip}")
    out = tmp_path / "out.mp4"
    try:
        report = record(StreamRun(server.url("flash"), str(out), OPTIONS, 3.5), Settings(), LineReporter(io.StringIO()))
    finally:
        server.kill()
    assert not [warning for warning in report.warnings if warning[0] not in ("late",)]
    with av.open(out) as container:
        assert [stream.codec_context.name for stream in container.streams.audio] == ["aac"]
    flashes, beeps = measured(out)
    assert flashes
    assert max(map(abs, offsets_s(flashes, beeps))) < 0.04, (flashes, beeps)
