"""An HLS folder, while it is written, in Chromium."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.feeding import SIZE, feeding
from tests.stream.sinks.live.test_recording import fan_out
from tests.waiting import PATIENCE_S, until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests.chromium import CHROMIUM

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
# Chromium's own HLS player gives up about one start in five on a busy machine ("could not parse", on playlists and
# segments that its next try plays), so the page tries again, as pages with live video do.
_PAGE = """<!doctype html><video id=live muted autoplay playsinline src=room.m3u8></video><script>
live.onerror = () => { live.load(); live.play() }
const number = () => {
  const canvas = new OffscreenCanvas(live.videoWidth, live.videoHeight), c = canvas.getContext('2d')
  c.drawImage(live, 0, 0)
  const bright = (bit) => c.getImageData((2 * bit + 1) * canvas.width / 24, canvas.height / 2, 1, 1).data[1] > 125
  return [...Array(12).keys()].reduce((sum, bit) => sum + (bright(bit) ? 2 ** bit : 0), 0)
}
</script>"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_it_plays_live(tmp_path: Path) -> None:
    playlist = tmp_path / "room.m3u8"
    (tmp_path / "index.html").write_text(_PAGE)
    with feeding(fan_out(playlist)) as feed, served(tmp_path) as url, sync_api.sync_playwright() as run:
        until(lambda: playlist.exists() and playlist.read_text().count("#EXTINF") >= 3)
        browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(url)
        page.wait_for_function("live.currentTime > 3 && !live.paused", timeout=PATIENCE_S * 1000)
        assert page.evaluate("[live.videoWidth, live.videoHeight]") == list(SIZE)
        shown = page.evaluate("number()")
        written = feed.next
        page.wait_for_function("live.currentTime > 9", timeout=PATIENCE_S * 1000)
        later = page.evaluate("number()")
        browser.close()
    assert 0 < shown < written, "a picture of the feed"
    assert later > shown + 100
