"""The page of feeds in a real Chromium, against the real server. No worker runs them; addresses are on loopback."""

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis
from PIL import Image

from stream.records.feed_pictures import FeedPictures
from stream.records.feed_store import FeedStore
from stream.records.feeds import FeedReport, OutputReport
from stream.records.live import ENGINE_FAILED, Meters
from stream.records.redis_keys import PREFIX
from stream.settings import Settings
from tests.conftest import PICTURES
from tests.failing_feeds import give_up
from tests.waiting import PATIENCE_S, until
from tests.web.running_site import Site, running

SOURCE, OUTPUT = "rtsp://ann:pass-word@127.0.0.1:1/cam", "rtmp://127.0.0.1:1/app/hidden-key"


@pytest.fixture(scope="module")
def feed_site(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    url = f"{valkey}?db=4"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    settings = Settings(data_dir=tmp_path_factory.mktemp("feeds"), allow_private_urls=True)
    with running(settings, url, worker=False) as site:
        yield site


def report(site: Site) -> None:
    """What a worker would report: the second output is lost."""

    async def store() -> None:
        feeds = FeedStore(site.context.store.link)
        claimed = await feeds.claim("w1")
        assert claimed is not None
        first, second = claimed.feed.outputs
        outputs = (
            OutputReport(id=first.id, state="live", frames=50, bitrate_bps=2_500_000),
            OutputReport(id=second.id, state="reconnecting", reason="connection refused", dropped=3),
        )
        meters = Meters(fps_in=25.0, width=1280, height=720)
        await feeds.report(claimed.feed, FeedReport(source_state="live", outputs=outputs, meters=meters))

    site.call(store())


def fields(site: Site) -> dict[str, Any]:
    """The options of the feed, as the API gives them."""
    return dict(httpx.get(f"{site.url}/api/feeds", timeout=PATIENCE_S).json()["feeds"][0]["options"])


def options(site: Site) -> tuple[str, str]:
    """Background and engine of the feed, as the API gives them."""
    found = fields(site)
    return found["background"], found["engine"]


def suggested(page: Any) -> list[str]:
    """The backgrounds that the field of a feed suggests."""
    found: list[str] = page.eval_on_selector(
        ".look input", "field => [...field.list.options].map(({ value }) => value)"
    )
    return found


@pytest.mark.long
def test_a_feed_is_added_shown_changed_and_removed(page: Any, feed_site: Site) -> None:
    page.goto(f"{feed_site.url}/feeds")
    page.wait_for_selector("#none:visible")
    page.fill("input[name=name]", "stage")
    page.fill("input[name=source]", "film.mp4")
    page.fill("input[name=output]", OUTPUT)
    page.click("#add button")
    page.wait_for_selector("#add-note:has-text('SCHEME://HOST')")
    page.fill("input[name=source]", SOURCE)
    page.click("#add button")
    page.wait_for_selector(".feed .state[data-state=waiting]")
    assert page.input_value("input[name=source]") == "", "the password does not stay in the form"
    page.fill(".add-output input", "srt://127.0.0.1:1?passphrase=secret-words")
    page.click(".add-output button")
    page.wait_for_selector(".outputs li:nth-child(2)")
    report(feed_site)
    page.wait_for_selector(".outputs li:nth-child(2) .state[data-state=reconnecting]")
    text = page.inner_text(".feed")
    for part in ("stage", "Running", "rtsp://127.0.0.1:1/cam", "25 frames a second", "1280×720", "2.50 Mbit/s"):
        assert part in text
    assert "Reconnecting: connection refused" in text
    assert not [secret for secret in ("pass-word", "hidden-key", "secret-words") if secret in page.content()]
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / "feeds.png")

    assert page.input_value(".look input") == "blur:0.5"
    assert "color:#1f2937" in suggested(page)
    assert "none" not in suggested(page)
    page.fill(".look input", "nonsense")
    page.press(".look input", "Enter")
    page.wait_for_selector(".feed .note:has-text('nonsense')")
    until(lambda: page.input_value(".look input") == "blur:0.5")
    page.fill(".look input", "green")
    page.press(".look input", "Enter")
    page.select_option(".look select", "chroma")
    until(lambda: options(feed_site) == ("color:#00ff00", "chroma"))

    page.click(".outputs li:nth-child(1) button:has-text('Turn off')")
    page.wait_for_selector(".outputs li:nth-child(1) button:has-text('Turn on')")
    page.click(".outputs li:nth-child(2) button:has-text('Remove')")
    page.wait_for_selector(".outputs li:nth-child(2)", state="detached")
    page.click(".feed button:has-text('Stop')")
    page.wait_for_selector(".feed > .row .state[data-state=stopped]")
    page.click(".feed button:has-text('Start')")
    page.wait_for_selector(".feed > .row .state[data-state=waiting]")
    give_up(feed_site, ENGINE_FAILED)
    page.wait_for_selector(".feed > .row .state[data-state=failed]:has-text('change it or start it again')")
    page.screenshot(path=PICTURES / "feeds_failed.png")
    page.click(".feed button:has-text('Start')")
    page.wait_for_selector(".feed > .row .state[data-state=waiting]")
    page.on("dialog", lambda dialog: dialog.accept())
    page.click(".feed > .row:first-child button:has-text('Remove')")
    page.wait_for_selector("#none:visible")


@pytest.mark.long
def test_a_stream_of_this_server_is_not_matted_again(page: Any, feed_site: Site) -> None:
    page.goto(f"{feed_site.url}/feeds")
    page.fill("input[name=name]", "again")
    page.fill("input[name=source]", "live:studio")
    assert page.input_value("input[name=background]") == "none"
    page.fill("input[name=source]", SOURCE)
    assert page.input_value("input[name=background]") == "blur"
    page.fill("input[name=background]", "green")
    page.fill("input[name=source]", "live:studio")
    assert page.input_value("input[name=background]") == "green"
    page.fill("input[name=background]", "none")
    page.click("#add button")
    page.wait_for_selector(".feed:has-text('live:studio')")
    assert page.input_value(".look input") == "none"
    assert "none" in suggested(page)
    for typed, background in (("blur", "blur:0.5"), ("none", "none")):
        page.fill(".look input", typed)
        page.press(".look input", "Enter")
        until(lambda background=background: options(feed_site) == (background, "auto"))  # type: ignore[misc]
    page.on("dialog", lambda dialog: dialog.accept())
    page.click(".feed > .row:first-child button:has-text('Remove')")
    page.wait_for_selector("#none:visible")


def jpeg(rgb: tuple[int, int, int]) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (320, 180), rgb).save(data, "JPEG")
    return data.getvalue()


class Worker:
    """Runs the feed that waits, as far as its picture goes. picture: what it sends now; empty for none."""

    def __init__(self, site: Site, picture: bytes) -> None:
        self.picture, self.asked, self._site = picture, 0, site
        self._task = site.call(self._start())

    async def _start(self) -> "asyncio.Task[None]":
        link = self._site.context.store.link
        assert await FeedStore(link).claim("w5")
        await link.ask("ZADD", f"{PREFIX}feeds-leased", 1e12, (await FeedStore(link).page("", 1)).feeds[0].id)
        return asyncio.create_task(FeedPictures(link).serve("w5", self._draw))

    async def _draw(self, feed: str) -> bytes:
        self.asked += 1
        return self.picture

    def stop(self) -> None:
        self._site._loop.call_soon_threadsafe(self._task.cancel)


SHOWN = """image => {
  const canvas = new OffscreenCanvas(1, 1), context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}"""


@pytest.mark.long
def test_a_small_live_picture_is_shown_while_the_feed_runs(page: Any, feed_site: Site) -> None:
    page.clock.install()
    page.goto(f"{feed_site.url}/feeds")
    page.fill("input[name=name]", "stage")
    page.fill("input[name=source]", "live:studio")
    assert page.input_value("input[name=slate]") == "Back soon"
    page.fill("input[name=slate]", "Gleich zurück")
    page.click("#add button")
    page.wait_for_selector(".preview:has-text('Waiting for a worker')")
    assert page.get_attribute(".watch", "href") == "/view/studio"
    worker = Worker(feed_site, b"")
    try:

        def shows(rgb: tuple[int, int, int]) -> bool:
            page.clock.run_for(1000)
            found = page.eval_on_selector_all(".preview img:not([hidden])", f"all => all.map({SHOWN})")
            return bool(found) and max(abs(a - b) for a, b in zip(found[0], rgb, strict=True)) < 8

        def says(text: str) -> bool:
            page.clock.run_for(1000)
            return bool(page.is_visible(f".preview:has-text('{text}')"))

        until(lambda: says("No picture yet"))
        worker.picture = jpeg((30, 120, 200))
        until(lambda: shows((30, 120, 200)))
        worker.picture = jpeg((200, 60, 30))
        until(lambda: shows((200, 60, 30)))
        assert page.get_attribute(".preview img", "alt") == "What stage sends now"
        page.screenshot(path=PICTURES / "feeds_picture.png")

        page.fill(".look label:has-text('away') input", "soon 😀")
        page.press(".look label:has-text('away') input", "Enter")
        page.wait_for_selector(".feed .note:has-text('cannot be drawn')")
        assert page.input_value(".look label:has-text('away') input") == "Gleich zurück"
        page.fill(".look label:has-text('away') input", "")
        page.press(".look label:has-text('away') input", "Enter")
        until(lambda: fields(feed_site)["slate"] == "")
        page.click(".feed button:has-text('Stop')")
        until(lambda: says("Stopped"))
        assert page.is_hidden(".preview img")
    finally:
        worker.stop()
        page.on("dialog", lambda dialog: dialog.accept())
        page.click(".feed > .row button:has-text('Remove')")
        page.wait_for_selector("#none:visible")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_or_wider_than_the_page(page: Any, feed_site: Site, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    with feed_site.client() as http:
        body = {"name": "a-long-name-of-a-feed-for-the-main-stage", "source": SOURCE, "outputs": [{"address": OUTPUT}]}
        feed = http.post("/api/feeds", json=body).json()
        page.goto(f"{feed_site.url}/feeds")
        page.wait_for_selector(".feed .state[data-state=waiting]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=PICTURES / f"feeds_{width}.png")
        picture, name = page.locator(".preview").bounding_box(), page.locator(".feed h3").bounding_box()
        assert abs(picture["width"] / picture["height"] - 16 / 9) < 0.05
        assert (name["x"] > picture["x"] + picture["width"]) == (width > 600), "beside it, or below it on a phone"
        http.delete(f"/api/feeds/{feed['id']}")
