"""`mattebox serve` and Debian's Firefox ESR, as a user has them: studio, viewer's page, and Videos."""

import time
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from stream.picture.frames import to_av
from tests.conftest import PICTURES
from tests.end_to_end.camera_scene import CORNER, MIDDLE
from tests.end_to_end.serving import Served
from tests.media import TALK, read, write_video

pytest.importorskip("websockets", reason="websockets is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests.end_to_end.browser import go_live
from tests.end_to_end.page_video import Pictures, becomes, look
from tests.firefox import FIREFOX, Tab, firefox

pytestmark = [pytest.mark.slow, pytest.mark.skipif(FIREFOX is None, reason="firefox-esr is not installed")]
SLATE, PAPER = (31, 41, 55), (244, 241, 234)
SLATE_CHIP, PAPER_CHIP = "input[value='color:#1f2937']", "input[value='color:#f4f1ea']"
BEST = "input[value=best]"  # the test engine whose disc has no holes
SILENT_S = 6.5  # after which the studio reports a microphone without sound
# The colours of the camera and of the result in its middle, over two seconds.
_COLOURS = """async ([x, y]) => {
  const canvas = new OffscreenCanvas(1, 1), c = canvas.getContext('2d', { willReadFrequently: true });
  const colour = (video) => {
    c.drawImage(video, x * video.videoWidth, y * video.videoHeight, 1, 1, 0, 0, 1, 1);
    return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const shown = document.querySelector('.stage video.shown'), camera = document.querySelector('#tile video');
  const found = { camera: [], result: [] }, end = performance.now() + 2000;
  while (performance.now() < end) {
    found.camera.push(colour(camera));
    found.result.push(colour(shown));
    await new Promise((done) => setTimeout(done, 15));
  }
  return found;
}"""
_CODECS = """async () => {
  const reports = await mattebox.live.connection.getStats(), found = {};
  for (const report of reports.values())
    if (report.kind === 'video' && report.codecId) found[report.type] = reports.get(report.codecId).mimeType;
  return found;
}"""
_OFFERED = "RTCRtpSender.getCapabilities('video').codecs.map((codec) => codec.mimeType)"
_HEARD = """async () => {
  const reports = [...(await mattebox.live.connection.getStats()).values()].filter((r) => r.kind === 'audio');
  const sent = reports.find((r) => r.type === 'outbound-rtp'), heard = reports.find((r) => r.type === 'inbound-rtp');
  return sent?.packetsSent > 25 && heard?.packetsReceived > 25;
}"""
_PLAYED = """() => {
  const c = new OffscreenCanvas(1, 1).getContext('2d');
  c.drawImage(document.querySelector('#player video'), 4, 4, 1, 1, 0, 0, 1, 1);
  return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""
# With sound; null while the viewer reconnects.
_PLAYS = """() => {
  const video = document.querySelector('.stage video.shown');
  return video && !video.muted && video.currentTime > 1;
}"""
_PRESS = (
    "(text) => [...document.querySelectorAll('.draft button, .job button')].find((b) => b.textContent === text).click()"
)


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Tab]:
    with firefox(tmp_path) as tab:
        yield tab


def off(tab: Tab, box: tuple[float, float, float, float], colour: tuple[int, int, int]) -> float:
    """Levels between the mean colour of that part of the picture and `colour`, in the worst channel."""
    pictures: Pictures = look(tab, box)
    return float(np.abs(pictures.reshape(-1, 3).mean(0) - colour).max()) if len(pictures) else 255.0


def corner_becomes(tab: Tab, colour: tuple[int, int, int]) -> None:
    becomes(lambda: off(tab, CORNER, colour), lambda levels: levels < 20)


def shows_the_camera_in_the_middle(tab: Tab) -> None:
    """Firefox's fake camera has one colour, which changes; the engine's matte is a disc."""
    left, top, right, bottom = MIDDLE
    found = tab.evaluate(_COLOURS, [(left + right) / 2, (top + bottom) / 2])
    camera, result = (np.array(found[name], int) for name in ("camera", "result"))
    nearest = np.abs(result[:, None] - camera[None]).max(-1).min(-1)
    assert len(np.unique(camera, axis=0)) > 5, "the camera's colour changes"
    assert np.percentile(nearest, 90) <= 40, "the subject has the camera's colours"


def test_the_studio(scene_server: Served, tab: Tab, tmp_path: Path) -> None:
    """Picture, sound, another background, snapshot and recording. Without its OpenH264 plugin, Firefox has no H.264."""
    go_live(tab, scene_server.url, SLATE_CHIP, BEST)
    corner_becomes(tab, SLATE)
    becomes(lambda: off(tab, MIDDLE, SLATE), lambda levels: levels > 60)
    shows_the_camera_in_the_middle(tab)
    codec = "video/H264" if "video/H264" in tab.evaluate(_OFFERED) else "video/VP8"
    codecs = tab.evaluate(_CODECS)
    assert (codecs["outbound-rtp"], codecs["inbound-rtp"]) == (codec, codec)
    tab.click("#tool-microphone")
    switched_on_s = time.monotonic()
    tab.wait_for_function(_HEARD)
    tab.check(PAPER_CHIP)
    corner_becomes(tab, PAPER)
    tab.click("#tool-snapshot")
    tab.click("#tool-record")
    tab.wait_for_timeout(2500)
    PICTURES.mkdir(exist_ok=True)
    tab.screenshot(PICTURES / "firefox_studio.png")
    tab.click("#tool-record")
    saved = tmp_path / "Downloads"
    becomes(lambda: len(list(saved.glob("*.webm"))), bool)
    tab.wait_for_function("!document.querySelector('#note').textContent.includes('.png')")  # the recording's note now
    assert len(list(saved.glob("*.png"))) == 1
    with av.open(str(next(saved.glob("*.webm")))) as file:
        loudest = max(np.abs(frame.to_ndarray()).max() for frame in file.decode(audio=0))
    assert loudest > 0.01
    tab.wait_for_timeout(1000 * max(0.0, SILENT_S - (time.monotonic() - switched_on_s)))
    assert "No sound" not in tab.evaluate("document.querySelector('#note').textContent")
    tab.click("#tool-microphone")
    tab.wait_for_function("mattebox.live.connection.getSenders().every((sender) => sender.track?.kind !== 'audio')")
    tab.click("#stop")
    tab.wait_for_selector("#status[data-state=idle]")


def shown_through(tab: Tab, page: tuple[int, int, int]) -> float:
    """The share of the window in which the page's colour is seen."""
    path = PICTURES / "firefox_obs.png"
    tab.screenshot(path)
    image = np.asarray(Image.open(path).convert("RGB"), np.int64)
    return float((np.abs(image - page).max(-1) <= 4).mean())


def test_the_viewers_page(scene_server: Served, tab: Tab) -> None:
    """The studio goes on air; another window plays it with sound."""
    go_live(tab, scene_server.url, SLATE_CHIP)
    tab.click("#tool-microphone")
    tab.click("#share-open")
    tab.click("#share-go")
    tab.wait_for_function("document.querySelector('#share-state').textContent === 'On air as “studio”.'")
    link = {"kind": "view", "name": "studio", "expires_s": 3600}
    viewer = tab.open()
    viewer.goto(httpx.post(f"{scene_server.url}/api/links", json=link, timeout=10).json()["page"])
    viewer.wait_for_selector("#status[data-state=live]")
    corner_becomes(viewer, SLATE)
    viewer.click("#sound")
    viewer.wait_for_function(_PLAYS)
    PICTURES.mkdir(exist_ok=True)
    viewer.screenshot(PICTURES / "firefox_viewer.png")
    viewer.goto(httpx.post(f"{scene_server.url}/api/links", json=link, timeout=10).json()["obs"])
    viewer.wait_for_selector("body[data-state=live]")
    viewer.evaluate("document.body.style.background = 'rgb(200, 0, 220)'")
    becomes(lambda: shown_through(viewer, (200, 0, 220)), lambda share: 0.3 < share < 0.95)
    viewer.close()
    tab.click("#share-go:not([disabled])")
    tab.wait_for_function("document.querySelector('#share-state').textContent === 'Nobody can see you.'")


def test_videos(scene_server: Served, tab: Tab, tmp_path: Path) -> None:
    """A file is uploaded, matted and played."""
    clip = write_video(tmp_path / "talk.mp4", (to_av(frame, "yuv420p") for frame in read(TALK, 30)), sound_s=1.0)
    tab.goto(f"{scene_server.url}/videos")
    tab.check(PAPER_CHIP)
    tab.set_input_files("#files", [clip])
    tab.wait_for_selector(".draft .status[data-tone=good]")
    tab.evaluate(_PRESS, "Start")
    tab.wait_for_selector(".job[data-state=done]")
    tab.evaluate(_PRESS, "Play")
    tab.wait_for_function("document.querySelector('#player video').currentTime > 0.3")
    PICTURES.mkdir(exist_ok=True)
    tab.screenshot(PICTURES / "firefox_videos.png")
    corner = tab.evaluate(_PLAYED)
    assert max(abs(a - b) for a, b in zip(corner, PAPER, strict=True)) < 12
