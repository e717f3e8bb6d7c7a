"""A browser sees the camera in PipeWire: Chromium lists it, plays it, and shows its colours."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, to_av
from stream.serve.die_with_parent import tied
from tests.chromium import CHROMIUM
from tests.end_to_end.gstreamer import PYTHON
from tests.media import ROOT, command, write_video
from tests.pipewire import PipeWire
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

COLOURS = [(230, 120, 20), (30, 60, 220), (40, 180, 70), (245, 245, 245)]  # in columns, from the left
PLAY = """async (points) => {
  const list = async () => (await navigator.mediaDevices.enumerateDevices()).filter(d => d.kind === 'videoinput')
  for (let i = 0; i < 40 && !(await list()).length; i++) await new Promise(r => setTimeout(r, 250))
  const stream = await navigator.mediaDevices.getUserMedia({video: true})
  const video = document.createElement('video')
  video.muted = true
  video.srcObject = stream
  await video.play()
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight), c = canvas.getContext('2d')
  const colours = () => {
    c.drawImage(video, 0, 0)
    return points.map(x => [...c.getImageData(x * canvas.width, canvas.height / 2, 1, 1).data].slice(0, 3))
  }
  for (let i = 0; i < 100 && colours()[0][0] < 100; i++) await new Promise(r => setTimeout(r, 100))
  await new Promise(r => setTimeout(r, 2000))
  const pictures = video.getVideoPlaybackQuality().totalVideoFrames
  return {label: stream.getVideoTracks()[0].label, size: [canvas.width, canvas.height], pictures, colours: colours()}
}"""


class Page(BaseHTTPRequestHandler):
    """A page from 127.0.0.1: browsers give cameras to no other page without TLS."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>camera</title>")

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@contextmanager
def served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running(argv: list[str], session: PipeWire) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(argv, cwd=ROOT, env=session.environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[PipeWire]:
    if subprocess.run([PYTHON, "-c", "import gi"], capture_output=True, check=False).returncode:
        pytest.skip("needs python3-gi")
    session = PipeWire(tmp_path)
    yield session
    session.close()


def test_chromium_plays_the_camera_in_the_right_colours(session: PipeWire, tmp_path: Path) -> None:
    picture = np.repeat(np.array([COLOURS], np.uint8), 160, axis=1).repeat(360, axis=0)
    frames = [to_av(Frame(rgb_to_i420(picture), n, Fraction(1, 30)), "yuv420p") for n in range(30)]
    clip = write_video(tmp_path / "clip.mkv", frames, codec="ffv1", colour=(1, 1, 1, 1))
    shown = ("--background", "none", "--engine", "chroma", "--key", "#00c83c", "--loop")
    camera = command("camera", "--source", clip, "--device", "camera:pipewire", *shown)
    portal = tied([PYTHON, "-m", "tests.camera_portal", f"{session.environment['XDG_RUNTIME_DIR']}/pipewire-0"])
    with running(camera, session), running(portal, session) as started, served() as address:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        until(lambda: "Video/Source" in session.run("pw-dump"))
        found = played(session, address)
    assert (found["label"], found["size"]) == ("Mattebox", [640, 360])
    assert found["pictures"] > 30
    assert np.abs(np.array(found["colours"]) - COLOURS).max() <= 6, found["colours"]


def played(session: PipeWire, address: str) -> Any:
    flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--enable-features=WebRtcPipeWireCamera"]
    with sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=flags, env={**session.environment})
        try:
            page = browser.new_page()
            page.goto(address)
            return page.evaluate(PLAY, [0.125, 0.375, 0.625, 0.875])
        finally:
            browser.close()
