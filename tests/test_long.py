"""Long runs: memory does not grow with a video's length, and audio is in sync after ten minutes."""

import os
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import ROOT, command, mattebox, numbered, pattern_clip, read, sound_of, write_video

pytestmark = pytest.mark.slow


def repeated(clip: Path, path: Path, times: int) -> Path:
    """Repeat the clip's packets, without encoding them again."""
    with av.open(str(path), "w") as out:
        stream = None
        for n in range(times):
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                length = round(Fraction(video.frames, 30) / video.time_base)  # type: ignore[operator]
                for packet in source.demux(video):
                    if packet.size:
                        packet.pts, packet.dts = packet.pts + n * length, packet.dts + n * length  # type: ignore[operator]
                        packet.stream = stream
                        out.mux(packet)
    return path


def peak_mib(source: Path, output: Path, engine: str, temporal: str) -> float:
    """Peak memory of `mattebox file`, in MiB."""
    words = command("file", source, "-o", output, "--engine", engine, "--temporal", temporal)
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


@pytest.mark.parametrize(("temporal", "times"), [("off", 30), ("offline", 6)])
def test_memory_of_ten_minutes_is_that_of_twenty_seconds(tmp_path: Path, temporal: str, times: int) -> None:
    """Only two minutes with temporal smoothing, which is much slower. The frames are small: the less memory a run uses,
    the smaller the leak that exceeds the limit."""
    short = pattern_clip(tmp_path / "short.mp4", 640, 360, 600, scene="room")
    long = repeated(short, tmp_path / "long.mp4", times)
    short_mib = peak_mib(short, tmp_path / "a.mp4", "selfie", temporal)
    long_mib = peak_mib(long, tmp_path / "b.mp4", "selfie", temporal)
    print(f"peak memory, {temporal}: {short_mib:.0f} MiB for 20 s, {long_mib:.0f} MiB for {20 * times} s")
    assert long_mib <= 1.1 * short_mib
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].frames == 600 * times


@pytest.fixture(scope="module")
def irregular(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """Ten minutes of irregular frames with sound, and their times in ms."""
    rng = np.random.default_rng(5)
    times_ms = np.cumsum(rng.integers(20, 400, 2860))
    times_ms = (times_ms - times_ms[0])[times_ms - times_ms[0] < 600_000].tolist()
    images = (numbered(n % 256, 64, 48) for n in range(len(times_ms)))
    path = tmp_path_factory.mktemp("irregular") / "in.mkv"
    return write_video(path, images, times_ms=times_ms, sound_s=600.0), times_ms


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov", ".mkv"])
def test_ten_minutes_of_variable_frame_rate_stay_in_sync(
    irregular: tuple[Path, list[int]], tmp_path: Path, suffix: str
) -> None:
    clip, times_ms = irregular
    out = tmp_path / f"out{suffix}"
    done = mattebox("file", clip, "-o", out, "--engine", "chroma", "--key", "0f0", timeout_s=3600)
    assert done.returncode == 0, done.stderr
    assert [f.time_s * 1000 for f in read(out)] == pytest.approx(times_ms, abs=1)
    samples, rate, start_s = sound_of(out)
    last = samples[round((598.8 - start_s) * rate) : round((599.2 - start_s) * rate)]
    onset_s = 598.8 + np.argmax(np.abs(last) > 0.1 * np.abs(samples).max()) / rate
    print(f"{suffix}: the tone at 599 s begins {1000 * (onset_s - 599):+.1f} ms from its original time")
    assert onset_s == pytest.approx(599.0, abs=0.04)
