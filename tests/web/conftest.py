import asyncio
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from aiortc import RTCConfiguration, RTCPeerConnection
from PIL import Image, ImageDraw
from pydantic import SecretStr

from stream.records.live import Answer
from stream.serve.redis_server import Embedded
from stream.settings import Settings
from tests.waiting import PATIENCE_S
from tests.web.live_worker_double import CANNED, Double
from tests.web.running_site import Site, running
from tests.web.static.pages import CAMERA, CHROMIUM, FLAGS, HASTE, Worker, ready


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Embedded(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def redis_url(valkey: str) -> str:
    """A separate, empty database for one test."""
    url = f"{valkey}?db=1"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture(scope="module")
def site(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a worker and without tokens. All tests of a module share it, so they must undo their changes."""
    with redis.Redis.from_url(valkey) as client:
        client.flushdb()
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), max_offers=10**6)
    with running(settings, valkey) as site:
        yield site


@pytest.fixture(scope="module")
def http(site: Site) -> Iterator[httpx.Client]:
    with site.client() as client:
        yield client


@pytest.fixture
def worker(site: Site) -> Iterator[Double]:
    """The site's worker, reset after the test."""
    assert site.worker is not None
    yield site.worker
    site.worker.answer, site.worker.state, site.worker.commands = Answer(sdp=CANNED), "ready", []


@pytest.fixture
def users(settings: Settings, redis_url: str) -> Iterator[Site]:
    """A site with the users alice and bob, whose tokens are alice-token and bob-token."""
    with_tokens = settings.model_copy(update={"tokens": SecretStr("alice:alice-token, bob:bob-token")})
    with running(with_tokens, redis_url) as site:
        yield site


async def _offer(direction: str) -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction)
    await connection.setLocalDescription(await connection.createOffer())
    sdp = str(connection.localDescription.sdp)
    await connection.close()
    return sdp


@pytest.fixture(scope="session")
def camera_offer() -> str:
    """SDP of a client that sends and receives video."""
    return asyncio.run(_offer("sendrecv"))


@pytest.fixture(scope="session")
def viewer_offer() -> str:
    return asyncio.run(_offer("recvonly"))


@pytest.fixture
def start_worker(redis_url: str) -> Iterator[Callable[[str], Worker]]:
    workers: list[Worker] = []

    def start(name: str) -> Worker:
        workers.append(Worker(redis_url, name))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 320x240 camera clip: a ball that moves over a red background."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    with path.open("wb") as file:
        for n in range(30):
            image = Image.new("RGB", (320, 240), "#c83c3c")
            ImageDraw.Draw(image).ellipse((100 + 3 * n, 80, 160 + 3 * n, 140), fill="#ffe680")
            image.save(file, "JPEG")
    return path


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"the page's tests need {CHROMIUM}")
    with playwright.sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def browser(driver: Any, clip: Path) -> Iterator[Any]:
    flags = [*FLAGS, *CAMERA, f"--use-file-for-fake-video-capture={clip}"]
    browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=flags)
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    yield from _page(browser, viewport={"width": 1280, "height": 800})


@pytest.fixture
def phone(browser: Any) -> Iterator[Any]:
    """A page on the screen of a phone, with touch."""
    yield from _page(browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)


def _page(browser: Any, **screen: Any) -> Iterator[Any]:
    """A new page; the test fails if a script of the page does."""
    context = browser.new_context(**screen)
    context.set_default_timeout(1000 * PATIENCE_S)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    for tab in context.pages:
        tab.unroute_all(behavior="wait")  # a handler in a closed page fails, and fails the next test
    context.close()
    assert not errors


@pytest.fixture
def hasty(page: Any) -> None:
    """From its next load, the page waits a fifth of the time where it would wait a second or more to ask again."""
    page.add_init_script(HASTE)


@pytest.fixture(scope="module")
def studio(browser: Any, site: Site) -> Iterator[Any]:
    """The studio in one page for all tests of a module that call functions of its scripts, or look at its layout."""
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENCE_S)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(site.url)
    yield page
    page.close()
    assert not errors


@pytest.fixture(scope="session")
def axe() -> str:
    folder = pytest.importorskip("axe_playwright_python", reason="brings axe-core")
    return resources.files(folder).joinpath("axe.min.js").read_text()


@pytest.fixture
def audited(page: Any, axe: str) -> Callable[[str], None]:
    """Fails on problems that axe calls serious or critical, in light and dark mode, which differ in colours only."""

    def audit(where: str) -> None:
        if page.evaluate("typeof axe") == "undefined":
            page.evaluate(f"() => {{ {axe} }}")
        for scheme, rules in (("light", "{}"), ("dark", "{ runOnly: ['color-contrast', 'link-in-text-block'] }")):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no half-way colours
            found = page.evaluate(f"axe.run({rules})")["violations"]
            severe = [violation for violation in found if violation["impact"] in ("serious", "critical")]
            bad = [f"{v['id']}: {[n['target'] for n in v['nodes']]}" for v in severe]
            assert not bad, f"{where}, {scheme}: {bad}"

    return audit


@pytest.fixture(scope="session")
def video_site(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose worker sends video. All tests share it, so none may kill the worker or leave backgrounds."""
    url = f"{valkey}?db=3"
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), max_offers=10**6)
    with running(settings, url, worker=False) as site:
        worker = Worker(url, "one")
        ready(site, 1)
        yield site
        worker.kill()


@pytest.fixture
def workerless(settings: Settings, redis_url: str) -> Iterator[Site]:
    with running(settings.model_copy(update={"offer_wait_s": 0.6}), redis_url, worker=False) as site:
        yield site
