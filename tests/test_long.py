"""Bounded long runs: memory that does not grow with a video's length, sound in step after ten minutes."""

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
    """The clip's packets over and over, not encoded anew."""
    with av.open(str(path), "w") as out:
        stream = None
        for turn in range(times):
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                length = round(Fraction(video.frames, 30) / video.time_base)  # type: ignore[operator]
                for packet in source.demux(video):
                    if packet.size:
                        packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length  # type: ignore[operator]
                        packet.stream = stream
                        out.mux(packet)
    return path


def peak_mib(source: Path, output: Path, engine: str, temporal: str) -> float:
    """The largest memory that `mattebox file` needed."""
    words = command("file", source, "-o", output, "--engine", engine, "--temporal", temporal)
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


@pytest.mark.parametrize(("temporal", "times"), [("off", 30), ("offline", 6)])
def test_memory_of_ten_minutes_is_that_of_twenty_seconds(tmp_path: Path, temporal: str, times: int) -> None:
    """Two minutes where frames wait to be steadied, which takes longer than all the rest."""
    short = pattern_clip(tmp_path / "short.mp4", 1280, 720, 600, scene="room")
    long = repeated(short, tmp_path / "long.mp4", times)
    little = peak_mib(short, tmp_path / "a.mp4", "selfie", temporal)
    much = peak_mib(long, tmp_path / "b.mp4", "selfie", temporal)
    print(f"peak memory, {temporal}: {little:.0f} MiB for 20 s, {much:.0f} MiB for {20 * times} s")
    assert much <= 1.1 * little
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].frames == 600 * times


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov", ".mkv"])
def test_ten_minutes_of_uneven_frames_keep_their_times_and_their_sound(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(5)
    times_ms = np.cumsum(rng.integers(20, 400, 2860))
    times_ms = (times_ms - times_ms[0])[times_ms - times_ms[0] < 600_000].tolist()
    images = (numbered(n % 256, 64, 48) for n in range(len(times_ms)))
    clip = write_video(tmp_path / "in.mkv", images, times_ms=times_ms, sound_s=600.0)
    out = tmp_path / f"out{suffix}"
    done = mattebox("file", clip, "-o", out, "--engine", "chroma", "--key", "0f0", timeout_s=3600)
    assert done.returncode == 0, done.stderr
    assert [f.time_s * 1000 for f in read(out)] == pytest.approx(times_ms, abs=1)
    samples, rate, start_s = sound_of(out)
    last = samples[round((598.8 - start_s) * rate) : round((599.2 - start_s) * rate)]
    onset_s = 598.8 + np.argmax(np.abs(last) > 0.1 * np.abs(samples).max()) / rate
    print(f"{suffix}: the tone at 599 s begins {1000 * (onset_s - 599):+.1f} ms from where it did")
    assert onset_s == pytest.approx(599.0, abs=0.04)
