"""Clients that reach the server only through a TURN server: `mattebox serve`, coturn, Chromium and Firefox."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from aioice import stun
from aioice.turn import create_turn_endpoint

from stream.rtc.ice import ice_servers
from stream.settings import Settings
from tests.coturn import TURNSERVER, Turn, turn_server
from tests.end_to_end.camera_scene import CORNER, DISC, MIDDLE
from tests.end_to_end.serving import Served, serving
from tests.rtc import Camera, Client
from tests.servers import asynctest
from tests.web.static.pages import until

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("websockets", reason="websockets is not installed")
from tests.end_to_end.browser import CHROMIUM, go_live, page
from tests.end_to_end.page_video import Pictures, becomes, look
from tests.firefox import FIREFOX, firefox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TURNSERVER is None, reason="coturn is not installed"),
]
SLATE = (31, 41, 55)
# Every connection of the page uses only relayed candidates, and is recorded.
_RELAY_ONLY = """
const Connection = RTCPeerConnection;
window.connections = [];
window.RTCPeerConnection = class extends Connection {
  constructor(configuration) {
    super({ ...configuration, iceTransportPolicy: 'relay' });
    connections.push(this);
  }
};
"""
# The kinds of candidates in use by the page's open connections.
_KINDS = """async () => {
  const kinds = [];
  for (const connection of connections.filter((each) => each.connectionState === 'connected')) {
    const reports = await connection.getStats();
    const pairs = [...reports.values()].filter((each) => each.type === 'candidate-pair' && each.nominated);
    kinds.push(...pairs.map((pair) => reports.get(pair.localCandidateId).candidateType));
  }
  return kinds;
}"""
_FIREFOX_KIND = """async () => {
  const reports = await mattebox.live.connection.getStats();
  const pair = [...reports.values()].find((each) => each.type === 'candidate-pair' && each.selected);
  return reports.get(pair.localCandidateId).candidateType;
}"""
_LINK = re.compile(
    r'<(turn:\S+)>; rel="ice-server"; username="([^"]+)"; credential="([^"]+)"; credential-type="password"'
)


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turn]:
    with turn_server(tmp_path_factory.mktemp("turn")) as running:
        yield running


@pytest.fixture(scope="module")
def relayed(turn: Turn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with test engines that uses the TURN server."""
    program, limits = "tests.end_to_end.mattebox_with_scene_engines", {"live_sessions": "8", "udp_address": "127.0.0.1"}
    with serving(tmp_path_factory.mktemp("relayed"), program=program, **limits, **turn.settings) as running:
        yield running


async def allocate(turn: Turn, user: str, password: str, over: str = "udp") -> None:
    """Ask the TURN server for a relayed address. Raises stun.TransactionFailed."""
    address = ("127.0.0.1", turn.port)
    transport, _ = await create_turn_endpoint(asyncio.DatagramProtocol, address, user, password, transport=over)
    transport.close()
    await asyncio.sleep(0.1)  # a message gives the allocation up


def off(tab: Any, box: tuple[float, float, float, float], colour: tuple[int, int, int]) -> float:
    pictures: Pictures = look(tab, box)
    return float(np.abs(pictures.reshape(-1, 3).mean(0) - colour).max()) if len(pictures) else 255.0


def shows_the_matted_scene(tab: Any) -> None:
    becomes(lambda: off(tab, CORNER, SLATE), lambda levels: levels < 20)
    becomes(lambda: off(tab, MIDDLE, DISC), lambda levels: levels < 25)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_studio_publisher_and_viewer_through_the_relay(relayed: Served, scene: Path) -> None:
    with page(scene) as tab:
        tab.context.add_init_script(_RELAY_ONLY)
        go_live(tab, relayed.url, "input[value='color:#1f2937']", "input[value=best]")
        shows_the_matted_scene(tab)
        assert tab.evaluate(_KINDS) == ["relay"]
        tab.click("#share-open")
        tab.click("#share-go")
        tab.wait_for_selector("#share-state:has-text('On air as')", timeout=20_000)
        link = {"kind": "view", "name": "studio", "expires_s": 600}
        viewer = tab.context.new_page()
        viewer.goto(httpx.post(f"{relayed.url}/api/links", json=link, timeout=10).json()["page"])
        viewer.wait_for_selector("#status[data-state=live]", timeout=20_000)
        shows_the_matted_scene(viewer)
        assert viewer.evaluate(_KINDS) == ["relay"]
        until(tab, f"({_KINDS})().then((kinds) => kinds.join() === 'relay,relay')", 10.0)  # publisher and own viewer


@pytest.mark.skipif(FIREFOX is None, reason="firefox-esr is not installed")
def test_a_studio_in_firefox_through_the_relay(relayed: Served, tmp_path: Path) -> None:
    with firefox(tmp_path, {"media.peerconnection.ice.relay_only": True}) as tab:
        go_live(tab, relayed.url, "input[value='color:#1f2937']")
        becomes(lambda: off(tab, CORNER, SLATE), lambda levels: levels < 20)
        assert tab.evaluate(_FIREFOX_KIND) == "relay"


@asynctest
async def test_whip_clients_get_credentials_that_the_turn_server_accepts(relayed: Served, turn: Turn) -> None:
    publisher = Client(Camera())
    async with httpx.AsyncClient(base_url=relayed.url, timeout=20) as http:
        offer = await publisher.offer()
        posted = await http.post("/whip/linked", content=offer, headers={"Content-Type": "application/sdp"})
        await http.delete(posted.headers["location"])
    await publisher.close()
    assert posted.status_code == 201, posted.text
    found = [_LINK.fullmatch(link) for link in posted.headers.get_list("link")]
    urls, (user, *_), (password, *_) = zip(*(link.groups() for link in found if link), strict=True)
    assert list(urls) == turn.settings["ice_servers"].split(",")
    await allocate(turn, user, password)
    await allocate(turn, user, password, "tcp")
    with pytest.raises(stun.TransactionFailed, match="401"):
        await allocate(turn, user, "wrong")


@asynctest
async def test_expired_credentials_are_refused(turn: Turn) -> None:
    (server,) = ice_servers(Settings().model_copy(update=turn.settings), "ann", now_s=time.time() - 3600 - 60)
    with pytest.raises(stun.TransactionFailed, match="401"):
        await allocate(turn, server["username"], server["credential"])
