"""A stream that a Mattebox server publishes, as the source of `mattebox stream`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from tests.end_to_end.serving import Served, serving
from tests.flashes import beeps_s, flashes_s, make_clip, offsets_s

pytestmark = pytest.mark.slow
TOKEN = "a-token-of-the-server-0123456789"
AS_IT_IS = ("--background", "none", "--engine", "chroma")
ENV = {"MATTEBOX_UDP_ADDRESS": "127.0.0.1", "MATTEBOX_HW_ENCODE": "0"}


@contextmanager
def streaming(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`mattebox stream` until it is left, which ends it like Ctrl-C."""
    argv = [sys.executable, "-m", "mattebox", "stream", *words, *AS_IT_IS]
    with (folder / f"{len(list(folder.iterdir()))}.log").open("wb") as log:
        process = subprocess.Popen(argv, env=os.environ | ENV, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def sessions(served: Served) -> dict[str, tuple[str, str]]:
    """State and reason by kind."""
    listed = httpx.get(f"{served.url}/api/sessions", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
    return {session["kind"]: (session["state"], session["reason"]) for session in listed.json()["sessions"]}


def test_a_published_stream_is_recorded(tmp_path: Path) -> None:
    """The recorder is started before the publisher, which waits for it; both are ended like by Ctrl-C."""
    clip, out, logs = make_clip(tmp_path / "clip.mkv", 4.0), tmp_path / "out.mkv", tmp_path / "logs"
    logs.mkdir()
    with serving(tmp_path, udp_address="127.0.0.1", token=TOKEN) as served:
        source, target = f"whep+{served.url}/whep/stage", f"whip+{served.url}/whip/stage?background=none&show_room=true"
        with streaming(logs, source, str(out), "--token", TOKEN):
            time.sleep(3)  # it finds nothing yet
            with streaming(logs, str(clip), target, "--loop", "--token", TOKEN):
                until_s = time.monotonic() + 60
                while sessions(served).get("view", ("", ""))[0] != "live":
                    assert time.monotonic() < until_s, sessions(served)
                    time.sleep(0.2)
                time.sleep(5)
        assert sessions(served) == {"view": ("ended", "deleted"), "publish": ("ended", "deleted")}
        assert TOKEN not in served.log.read_text()
    said = "".join(path.read_text() for path in logs.iterdir())
    assert "source reconnecting: nothing is published there yet (404)" in said
    assert "source live" in said
    assert TOKEN not in said
    with av.open(str(out)) as recorded:
        luma = [(float(p.time or 0), float(p.to_ndarray(format="gray").mean())) for p in recorded.decode(video=0)]
    with av.open(str(out)) as recorded:
        peaks = [(float(s.time or 0), float(np.abs(s.to_ndarray()).max())) for s in recorded.decode(audio=0)]
    offsets = offsets_s(flashes_s(luma), beeps_s(peaks))
    assert len(offsets) >= 3
    assert abs(np.median(offsets)) < 0.04, offsets
