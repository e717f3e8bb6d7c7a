"""The page in a real Chromium with a fake camera, against the real server and a worker double."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from stream.settings import Settings
from tests.waiting import until
from tests.web.running_site import Site, running
from tests.web.static.pages import CHROMIUM, FLAGS, PAPER, SLATE, WATCH, Worker, corner_is, opened, ready, state

PUBLISH = """async () => {
  const camera = await navigator.mediaDevices.getUserMedia({ video: true });
  window.pc = new RTCPeerConnection();
  pc.addTransceiver(camera.getVideoTracks()[0], { direction: 'sendonly', streams: [camera] });
  await pc.setLocalDescription();
  await new Promise((ready) => { pc.onicecandidate = (e) => e.candidate || ready(); });
  const response = await fetch('/whip/studio?background=color:%231f2937', {
    method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
  await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  return response.status;
}"""


@pytest.mark.usefixtures("hasty")
def test_it_connects_and_applies_the_choices(page: Any, video_site: Site) -> None:
    opened(page, video_site)
    page.check("input[value='color:#f4f1ea']")
    corner_is(page, PAPER)
    page.wait_for_selector("#measurements-open:has-text('double')")
    page.wait_for_selector("#meters:has-text('double on cpu'):has-text('320×240')", state="attached")
    page.keyboard.press("ArrowRight")  # selects the next radio button of the group
    corner_is(page, SLATE)
    page.check("input[name=view][value=matte]")
    with video_site.client() as http:

        def newest() -> Any:
            return http.get("/api/sessions").json()["sessions"][0]

        until(lambda: newest()["options"]["view"] == "matte", "the view is changed")
        options = newest()["options"]
        assert options | {"view": "matte", "background": "color:#1f2937"} == options
        page.click("#stop")
        state(page, "idle")
        assert page.is_visible("#open")
        until(lambda: newest()["state"] == "ended", "the session ends")
        assert newest()["reason"] == "deleted"


@pytest.mark.long
def test_a_connection_that_never_succeeded_points_at_the_network(page: Any, video_site: Site) -> None:
    """The server answers, but no packet gets through. The page does not say that a video has stopped."""
    page.add_init_script(
        "Object.defineProperty(RTCPeerConnection.prototype, 'connectionState', { get: () => 'failed' });"
        "HTMLVideoElement.prototype.requestVideoFrameCallback = () => 0;"
    )
    page.goto(video_site.url)
    page.click("#open")
    state(page, "blocked")
    text = page.inner_text("main")
    assert all(word in text for word in ("UDP", "network", "TURN", "MATTEBOX_UDP_PORTS"))
    assert "stopped" not in text


def test_a_killed_worker_is_noticed_and_replaced(
    page: Any, workerless: Site, start_worker: Callable[[str], Worker]
) -> None:
    first = start_worker("one")
    opened(page, workerless)
    start_worker("two")
    ready(workerless, 2)
    page.evaluate(WATCH)
    first.kill()
    until(lambda: "reconnecting" in page.evaluate("seen.states"), "the page notices")
    state(page, "live")
    assert page.evaluate("seen.held"), "the last frame stays visible"
    corner_is(page, SLATE)
    with workerless.client() as http:
        newest, *_, oldest = http.get("/api/sessions").json()["sessions"]
    assert (oldest["worker"], newest["worker"]) == ("one", "two")
    assert newest["options"] == oldest["options"]


@pytest.mark.long
def test_a_waiting_page_connects_when_a_worker_starts(
    page: Any, workerless: Site, start_worker: Callable[[str], Worker]
) -> None:
    page.goto(workerless.url)
    page.click("#open")
    state(page, "full")
    assert "in 2 s" in page.inner_text("#status")
    start_worker("late")
    state(page, "live")


@pytest.mark.long
def test_the_web_server_restarts(
    page: Any, settings: Settings, redis_url: str, start_worker: Callable[[str], Worker]
) -> None:
    """Media does not pass through the web server, so the video continues; a failed change is reported."""
    start_worker("one")
    with running(settings, redis_url, worker=False) as site:
        opened(page, site)
        port = int(site.url.rpartition(":")[2])
    page.click("input[value='color:#f4f1ea']")
    page.wait_for_selector("#note:has-text('Not changed')")
    state(page, "live")
    corner_is(page, SLATE)
    with running(settings, redis_url, worker=False, port=port):
        page.check("input[value='color:#f4f1ea']")
        corner_is(page, PAPER)


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_viewers_by_link(
    browser: Any, page: Any, settings: Settings, redis_url: str, start_worker: Callable[[str], Worker]
) -> None:
    start_worker("one")
    with_token = settings.model_copy(update={"token": SecretStr("mine")})
    with running(with_token, redis_url, worker=False) as site, site.client("mine") as http:
        ready(site, 1)
        link = http.post("/api/links", json={"kind": "view", "name": "studio"}).json()["page"]
        page.goto(link)
        state(page, "notLive")
        publisher = browser.new_context()
        studio = publisher.new_page()
        studio.goto(site.url)
        studio.fill("#token", "mine")
        studio.keyboard.press("Enter")
        studio.wait_for_selector(".tile-choice")
        assert studio.evaluate(PUBLISH) == 201
        state(page, "live")
        corner_is(page, SLATE)
        session = next(s["id"] for s in http.get("/api/sessions").json()["sessions"] if s["kind"] == "publish")
        http.delete(f"/api/sessions/{session}")
        publisher.close()
        state(page, "ended")
        assert "The stream has ended" in page.inner_text("#card")
        assert page.evaluate("document.querySelector('.stage .shown')") is None, "the last frame does not stay"
        page.goto(link.partition("#")[0])
        state(page, "denied")


def test_signing_in(page: Any, settings: Settings, redis_url: str) -> None:
    with running(settings.model_copy(update={"token": SecretStr("mine")}), redis_url) as site:
        page.goto(site.url)
        page.wait_for_selector("#login[open]")
        assert page.get_attribute("#status", "data-state") == "signedOut"
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#login .note:has-text('no user has this token')")
        page.fill("#token", "mine")
        page.keyboard.press("Enter")
        page.wait_for_selector("#user:has-text('user')")
        state(page, "idle")
        page.click("#sign-out")
        page.wait_for_selector("#login[open]")


@pytest.mark.long
@pytest.mark.parametrize(
    ("flags", "host", "expected", "advice"),
    [
        (["--use-fake-device-for-media-stream"], "127.0.0.1", "refused", "left of the address"),
        (["--use-fake-ui-for-media-stream"], "127.0.0.1", "noCamera", "Connect a camera"),
        (["--host-resolver-rules=MAP studio.test 127.0.0.1"], "studio.test", "insecure", "mattebox serve --tls auto"),
    ],
)
def test_the_page_explains_why_there_is_no_camera(
    driver: Any, settings: Settings, redis_url: str, flags: list[str], host: str, expected: str, advice: str
) -> None:
    with_token = settings.model_copy(update={"token": SecretStr("mine")}) if host != "127.0.0.1" else settings
    with running(with_token, redis_url) as site:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *flags])
        page = browser.new_page()
        page.goto(site.url.replace("127.0.0.1", host))
        if host != "127.0.0.1":
            page.fill("#token", "mine")
            page.keyboard.press("Enter")
            page.wait_for_selector(".tile-choice")
        page.click("#open")
        state(page, expected)
        assert page.is_enabled("#open")
        assert advice in page.inner_text("#card .body")
        browser.close()
