"""The tus project's own browser client, unmodified (tests/data/tus-js-client, 4.3.1), against our server."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.end_to_end.browser import CHROMIUM
from tests.media import DATA, TALK
from tests.web.relay import Relay, relaying
from tests.web.running_site import Site
from tests.web.videos.tus import PATH, TUS, offset_of

playwright = pytest.importorskip("playwright.sync_api", reason="tus-js-client runs in a browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

UPLOAD = """([path, delays]) => {
  window.log = { offsets: [], retries: 0, outcome: "" };
  window.upload = new tus.Upload(document.querySelector("#files").files[0], {
    endpoint: path,
    metadata: { filename: "talk.mp4", filetype: "video/mp4" },
    retryDelays: delays,
    onBeforeRequest(request) {
      if (request.getMethod() === "PATCH") log.offsets.push(Number(request.getHeader("Upload-Offset")));
    },
    onShouldRetry: () => { log.retries += 1; return true; },
    onError: error => { log.outcome = String(error); },
    onSuccess: () => { log.outcome = "done"; },
  });
}"""
RETRIES = [100] * 500
PATIENCE_S = 60  # far more than needed, also on a busy machine


@pytest.fixture
def relay(site: Site) -> Iterator[Relay]:
    parts = urlsplit(site.url)
    assert parts.hostname
    assert parts.port
    with relaying(parts.hostname, parts.port) as relay:
        yield relay


@pytest.fixture
def page(relay: Relay) -> Iterator[Any]:
    """The videos page without its own script, and with a file chosen."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_context(bypass_csp=True).new_page()
        page.route("**/videos.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
        opened(page, relay)
        yield page
        browser.close()


def opened(page: Any, relay: Relay) -> None:
    page.goto(f"{relay.url}/videos")
    page.add_script_tag(path=DATA / "tus-js-client/tus.min.js")
    page.set_input_files("#files", [TALK])


def outcome(page: Any) -> str:
    page.wait_for_function("() => log.outcome")
    return str(page.evaluate("() => log.outcome"))


@pytest.mark.long
def test_an_upload_is_cut_off_resumes_and_finishes(page: Any, relay: Relay, site: Site, http: httpx.Client) -> None:
    size = TALK.stat().st_size
    relay.cut_after = size // 2
    page.evaluate(UPLOAD, [PATH, RETRIES])
    page.evaluate("() => upload.start()")
    assert relay.failed.wait(PATIENCE_S)
    page.wait_for_function("() => upload.url && log.retries > 2")
    path = urlsplit(page.evaluate("() => upload.url")).path
    assert 0 < offset_of(http, path) < size
    relay.failed.clear()
    assert outcome(page) == "done"
    offsets = page.evaluate("() => log.offsets")
    assert offsets[0] == 0
    assert 0 < offsets[-1] < size, "what has arrived is not sent again"
    assert offset_of(http, path) == size
    assert b"".join(site.context.storage.read(f"uploads/{path.rpartition('/')[2]}/source")) == TALK.read_bytes()
    page.evaluate("() => upload.abort(true)")
    assert http.head(path, headers=TUS).status_code in (404, 410)


@pytest.mark.long
def test_an_upload_goes_on_at_the_next_visit(page: Any, relay: Relay, http: httpx.Client) -> None:
    size = TALK.stat().st_size
    relay.cut_after = size // 2
    page.evaluate(UPLOAD, [PATH, []])
    page.evaluate("() => upload.start()")
    assert "failed to upload chunk" in outcome(page), "it was told not to retry"
    relay.failed.clear()
    opened(page, relay)
    page.evaluate(UPLOAD, [PATH, RETRIES])
    page.evaluate(
        "async () => { const [known] = await upload.findPreviousUploads();"
        " upload.resumeFromPreviousUpload(known); upload.start(); }"
    )
    assert outcome(page) == "done"
    assert page.evaluate("() => log.offsets")[0] > 0
    path = urlsplit(page.evaluate("() => upload.url")).path
    assert offset_of(http, path) == size
    assert http.delete(path, headers=TUS).status_code == 204
