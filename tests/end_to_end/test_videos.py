"""`mattebox serve` and Chromium, as a user has them: a file's result is the same as that of `mattebox file`."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from stream.picture.frames import Frame, to_av
from tests.conftest import PICTURES
from tests.end_to_end.serving import Served
from tests.media import TALK, mattebox, read, sound_of, write_video
from tests.web.videos.file_worker import submitted
from tests.web.videos.tus import uploaded

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
PAPER = "color:#f4f1ea"
CORNER = """() => {
  const c = new OffscreenCanvas(1, 1).getContext('2d');
  c.drawImage(document.querySelector('.draft img'), 4, 4, 1, 1, 0, 0, 1, 1);
  return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the test clip, with sound."""
    path = tmp_path_factory.mktemp("talk") / "talk_bikes.mp4"
    return write_video(path, (to_av(frame, "yuv420p") for frame in read(TALK, 60)), sound_s=2.0)


@pytest.fixture
def page(served: Served) -> Iterator[Any]:
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{served.url}/videos")
        page.wait_for_selector(f"input[value='{PAPER}']", state="attached")
        yield page
        browser.close()
    assert not faults


def same(ours: list[Frame], theirs: list[Frame], within: float) -> None:
    """Assert equal times and similar pictures. within: the mean difference allowed, in levels."""
    assert len(ours) == len(theirs) > 0
    assert [f.pts * f.time_base for f in ours] == [f.pts * f.time_base for f in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(np.subtract(a.pixels, b.pixels, dtype=np.int16)).mean() <= within


def by_hand(source: Path, path: Path, engine: str, background: str, view: str) -> list[Frame]:
    """The result of `mattebox file`."""
    words = ("--engine", engine, "--background", background, "--view", view)
    done = mattebox("file", source, "-o", path, *words, env={"MATTEBOX_HW_ENCODE": "0"})
    assert done.returncode == 0, done.stderr
    return read(path)


@pytest.mark.slow
def test_the_result_is_that_of_the_command(page: Any, clip: Path, tmp_path: Path) -> None:
    page.check(f"input[value='{PAPER}']")
    page.select_option("select[name=engine]", "rvm")  # slow enough to show progress
    page.set_input_files("#files", [clip])
    page.wait_for_selector(".draft .status[data-tone=good]", timeout=20_000)
    page.click("button:has-text('Preview this frame')")
    page.wait_for_selector(".draft img:not([hidden])", timeout=60_000)
    corner = page.evaluate(CORNER)
    assert max(abs(a - b) for a, b in zip(corner, (0xF4, 0xF1, 0xEA), strict=True)) < 12
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / "videos_preview.png")
    page.click(".draft button:has-text('Start')")
    page.wait_for_selector(".job .meters:has-text('frames')", timeout=60_000)
    page.wait_for_selector(".job[data-state=done]", timeout=120_000)
    page.click(".job button:has-text('Play')")
    page.wait_for_function("() => document.querySelector('#player video').currentTime > 0.3")
    page.screenshot(path=PICTURES / "videos_played.png")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.click(".job a:has-text('Download')")
    got = Path(download.value.path()).rename(tmp_path / "got.mp4")
    same(
        read(got), by_hand(clip, tmp_path / "made.mp4", "rvm", PAPER, "composite"), within=0.5
    )  # two encoder runs differ slightly
    ours, theirs = sound_of(got), sound_of(tmp_path / "made.mp4")
    assert np.array_equal(ours[0], theirs[0])
    assert ours[1:] == theirs[1:]
    page.click(".job button:has-text('Remove')")
    page.wait_for_selector(".job", state="detached")


@pytest.mark.slow
def test_the_alpha_is_that_of_the_command(served: Served, clip: Path, tmp_path: Path) -> None:
    with httpx.Client(base_url=served.url, timeout=30) as http:
        fields = {"upload": uploaded(http, clip.read_bytes()), "options": {"engine": "selfie"}}
        outputs = [{"name": "matte", "format": "mkv", "view": "matte"}]
        path = submitted(http, **fields, outputs=outputs)
        while (job := http.get(path).json())["state"] in ("queued", "running"):
            time.sleep(0.1)
        assert job["state"] == "done", job
        got = tmp_path / "got.mkv"
        got.write_bytes(http.get(job["results"]["matte"]["url"]).content)
    same(
        read(got), by_hand(clip, tmp_path / "made.mkv", "selfie", "green", "matte"), within=0.001
    )  # lossless, but single pixels may be rounded differently
