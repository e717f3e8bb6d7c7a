"""An output of live video published to a Mattebox server by WHIP, and viewed there by WHEP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from stream.address import Address
from stream.settings import Settings
from stream.sinks.live.spec import OutputSpec
from tests.clip_feed import Feed, feeding
from tests.end_to_end.serving import Served, serving
from tests.flashes import beeps_s, flashes_s, make_clip, offsets_s
from tests.rtc import Client, until
from tests.servers import asynctest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("loopback")]
TOKEN = "a-token-of-the-server-0123456789"
SETTINGS = Settings(
    loopback_candidates=True, udp_address="127.0.0.1", hw_encode=False, rtsp_retry_s=0.5, media_timeout_s=3.0
)
GREEN = (0, 200, 60)  # of the clip
AS_IT_IS = "background=none&show_room=true"


@pytest.fixture(scope="module")
def flashing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("whip") / "clip.mkv", 4.0)


def spec(served: Served, token: str | None) -> OutputSpec:
    return OutputSpec(Address.read(f"whip+{served.url}/whip/stage?{AS_IT_IS}"), token=token)


@asynccontextmanager
async def viewing(http: httpx.AsyncClient) -> AsyncIterator[Client]:
    viewer = Client(None, "H264", sound=True)
    offer, answer = await viewer.offer(), None
    for _ in range(50):
        answer = await http.post("/whep/stage", content=offer, headers={"Content-Type": "application/sdp"})
        if answer.status_code != 404:
            break
        await asyncio.sleep(0.1)
    assert answer is not None
    assert answer.status_code == 201, answer.text
    await viewer.take(answer.text)
    try:
        yield viewer
    finally:
        await viewer.close()


async def states(feed: Feed, count: int) -> None:
    await until(lambda: [s.state for s in feed.states].count("live") >= count, 30.0, f"live {count}x")


@asynctest
async def test_a_viewer_sees_and_hears_the_output(flashing: Path, tmp_path: Path) -> None:
    limits = {"udp_address": "127.0.0.1", "token": TOKEN}
    with serving(tmp_path, **limits) as served, feeding(flashing, spec(served, TOKEN), settings=SETTINGS) as feed:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=20) as http:
            await states(feed, 1)
            async with viewing(http) as viewer:
                await until(lambda: len(viewer.pictures) > 100, 15.0, "pictures")
            check(viewer)
            await asyncio.to_thread(feed.close)
            session = next(s for s in (await http.get("/api/sessions")).json()["sessions"] if s["kind"] == "publish")
            assert (session["state"], session["reason"]) == ("ended", "deleted")
        assert TOKEN not in served.log.read_text()


def check(viewer: Client) -> None:
    """The colours are right, no more than a few frames are missing, and the sound is in step."""
    pictures = [picture for _, picture in viewer.pictures]
    rgb = [p.reformat(format="rgb24", src_colorspace=5, dst_colorspace=5).to_ndarray() for p in pictures[-25:]]
    assert min(np.abs(np.median(image, axis=(0, 1)) - GREEN).max() for image in rgb) <= 4
    seconds = viewer.pictures[-1][0] - viewer.pictures[0][0]
    assert len(pictures) / seconds > 22
    luma = [(at_s, float(picture.to_ndarray(format="gray").mean())) for at_s, picture in viewer.pictures]
    peaks = [(at_s, float(np.abs(sound.to_ndarray().astype(float)).max() / 32768)) for at_s, sound in viewer.sounds]
    offsets = offsets_s(flashes_s(luma), beeps_s(peaks))
    assert len(offsets) >= 3
    assert abs(np.median(offsets)) < 0.1, offsets  # by arrival at a client whose jitter buffer holds sound back


@asynctest
async def test_a_server_that_is_killed_and_comes_back(flashing: Path, tmp_path: Path) -> None:
    limits = {"MATTEBOX_UDP_ADDRESS": "127.0.0.1"}
    served = Served(tmp_path, limits)
    served.wait_ready()
    with feeding(flashing, spec(served, None), settings=SETTINGS) as feed:
        await states(feed, 1)
        served.kill()  # its processes end with it
        await until(lambda: "connection refused" in feed.reasons(), 30.0, "its end is noticed")
        again = Served(tmp_path, limits, "--port", str(served.port))
        again.port, again.url = served.port, served.url
        again.wait_ready()
        await states(feed, 2)
        async with httpx.AsyncClient(base_url=served.url, timeout=20) as http, viewing(http) as viewer:
            await until(lambda: len(viewer.pictures) > 25, 15.0, "pictures")
    again.end()
