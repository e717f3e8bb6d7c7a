"""RTSP in, matted, RTSP out: two servers that nobody here wrote, and `mattebox stream` between them."""

import os
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from stream.picture.colour import rgb_to_i420
from stream.serve.die_with_parent import tied
from tests.flashes import RATE, make_clip, measured, offsets_s
from tests.gst_rtsp import GstRtspServer

LOGIN, KEY, BACKGROUND = "ann:hush", "#00c83c", "#0000ff"
LIP_SYNC_S = 0.04


def stream_through(folder: Path, codec: str, transport: str, duration_s: float) -> Path:
    """Pull a clip from a server with digest login, and push it to a server that records it. Returns the recording."""
    clip = make_clip(folder / "clip.mkv", duration_s + 4, picture_codec={"h264": "libx264", "h265": "libx265"}[codec])
    recording = folder / "out.mkv"
    source = GstRtspServer("--user", LOGIN, "--clip", f"{codec}={clip}")
    target = GstRtspServer("--user", LOGIN, "--record", recording)
    try:
        options = ["--engine", "chroma", "--key", KEY, "--background", f"color:{BACKGROUND}"]
        options += ["--duration", f"{duration_s}"]
        addresses = [source.url(codec, LOGIN), target.url("rec-aac", LOGIN)]
        argv = [sys.executable, "-m", "mattebox", "stream", *addresses, *options]
        environment = os.environ | {"MATTEBOX_RTSP_TRANSPORT": transport}
        done = subprocess.run(
            tied(argv), env=environment, capture_output=True, text=True, check=False, timeout=duration_s + 120
        )
        assert done.returncode == 0, done.stderr
    finally:
        source.kill()
        target.kill()
    return recording


def check(recording: Path, duration_s: float) -> tuple[int, int, float]:
    """Assert that pictures, colours, times and sound are right. Returns the number of frames, of missing frames, and
    the median offset of the sound in
    seconds."""
    times, dark = [], []
    with av.open(recording) as container:
        for frame in container.decode(video=0):
            times.append(float(frame.time or 0))
            if frame.to_ndarray(format="gray").mean() < 128:
                dark.append(frame.to_ndarray(format="yuv420p"))
    assert times[-1] - times[0] > duration_s - 2.5, "the output connected within this time"
    missing = sum(round((now - before) * RATE) - 1 for before, now in pairwise(times))
    assert missing <= 0.2 * len(times), "a busy machine drops some"
    expected = rgb_to_i420(np.full((240, 320, 3), (0, 0, 255), np.uint8)).astype(int)
    assert np.percentile([np.abs(picture - expected).max() for picture in dark[::RATE]], 99) <= 4
    flashes, beeps = measured(recording)
    assert len(flashes) >= 0.75 * (duration_s - 3)
    offset_s = statistics.median(map(abs, offsets_s(flashes, beeps)))  # a dropped frame may delay one flash
    assert offset_s < LIP_SYNC_S, (flashes, beeps)
    return len(times), missing, offset_s


@pytest.mark.slow  # these run one at a time, without other load
@pytest.mark.parametrize(("codec", "transport"), [("h264", "tcp"), ("h265", "udp")])
def test_pictures_colours_and_sound_arrive_in_time(tmp_path: Path, codec: str, transport: str) -> None:
    duration_s = 10.0 if codec == "h264" else 6.0
    check(stream_through(tmp_path, codec, transport, duration_s), duration_s)
