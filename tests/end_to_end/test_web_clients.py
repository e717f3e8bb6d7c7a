"""Published browser clients of WHIP and WHEP, unmodified (tests/data/web-clients), on a page of another origin.

@eyevinn/whip-web-client 1.1.7 with its dependencies events 3.3.0 and sdp-transform 2.15.0, and whip-whep 1.2.0.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests import waiting
from tests.end_to_end.browser import CHROMIUM, page
from tests.end_to_end.camera_scene import CORNER, MIDDLE
from tests.end_to_end.serving import Served, serving
from tests.media import DATA
from tests.web_server import Origin
from tests.web_server import serving as serving_pages

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
TOKEN = "the-token-of-ann"
CLIENTS = DATA / "web-clients"
SLATE, DISC = (31, 41, 55), (212, 212, 212)  # Chromium takes the clip's full-range pictures for limited range
OPTIONS = "engine=chroma&key=%2300b140&background=color:%231f2937"
_PAGE = """<!doctype html><video id=back autoplay playsinline muted></video>
<script type=importmap>{"imports": {"events": "/events.js", "sdp-transform": "/sdp-transform.js"}}</script>
<script type=module>
import { WHIPClient as Eyevinn } from "/whip-client.modern.js"
import { WHIPClient } from "/whip.js"
import { WHEPClient } from "/whep.js"
const connected = async (pc) => {
  while (pc.connectionState !== "connected") await new Promise(done => setTimeout(done, 20))
}
const camera = () => navigator.mediaDevices.getUserMedia({ video: true, audio: true })
const clients = {
  async "whip-web-client"(endpoint, token) {
    const client = new Eyevinn({ endpoint, opts: { authkey: token, iceServers: [] } })
    await client.ingest(await camera())
    await connected(client.peer)
    return { trickles: client.supportTrickleIce(), stop: () => client.destroy() }
  },
  async "whip-whep"(endpoint, token) {
    const client = new WHIPClient(), pc = new RTCPeerConnection({ iceServers: [] })
    for (const track of (await camera()).getTracks()) pc.addTransceiver(track, { direction: "sendonly" })
    await client.publish(pc, endpoint, token)
    await connected(pc)
    return { trickles: true, stop: () => client.stop() }
  },
}
window.publish = async (name, ...to) => { window.publisher = await clients[name](...to); return publisher.trickles }
window.view = async (address, token) => {
  const pc = new RTCPeerConnection({ iceServers: [] })
  for (const kind of ["video", "audio"]) pc.addTransceiver(kind, { direction: "recvonly" })
  pc.ontrack = ({ track }) => { (back.srcObject ??= new MediaStream()).addTrack(track) }
  window.viewer = new WHEPClient()
  await viewer.view(pc, address, token)
  await connected(pc)
}
window.look = ([left, top, right, bottom]) => {
  const canvas = new OffscreenCanvas(back.videoWidth || 1, back.videoHeight || 1), c = canvas.getContext("2d")
  c.drawImage(back, 0, 0)
  const x = (left + right) / 2 * canvas.width, y = (top + bottom) / 2 * canvas.height
  return [...c.getImageData(x, y, 1, 1).data].slice(0, 3)
}
window.post = async (address, token) => {
  const headers = { "Content-Type": "application/sdp", ...(token && { Authorization: `Bearer ${token}` }) }
  const response = await fetch(address, { method: "POST", body: "v=0", headers })
  return [response.status, response.headers.get("WWW-Authenticate"), (await response.json()).code]
}
// whip-whep reports the answer to candidates that it sends after it has stopped as an error
addEventListener("unhandledrejection", (event) => { if (/status 409/.test(event.reason)) event.preventDefault() })
window.ready = true
</script>"""


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with an access token."""
    with serving(tmp_path_factory.mktemp("secured"), token=TOKEN, udp_address="127.0.0.1") as served:
        yield served


@pytest.fixture
def elsewhere() -> Iterator[Origin]:
    """Another origin, which serves the page and the clients."""
    with serving_pages() as pages:
        pages.files["/page.html"], pages.types["/page.html"] = _PAGE.encode(), "text/html"
        modules = {path.name: path.read_text() for path in CLIENTS.glob("whip-*/*.js")}
        modules["events.js"] = as_module(CLIENTS / "events/events.js", ["EventEmitter"])
        modules["sdp-transform.js"] = as_module(CLIENTS / "sdp-transform/index.js", ["parse", "write"])
        for name, text in modules.items():
            pages.files[f"/{name}"], pages.types[f"/{name}"] = text.encode(), "text/javascript"
        yield pages


def as_module(path: Path, names: list[str]) -> str:
    """A CommonJS package as one ES module, as bundlers make it. names: what it exports."""
    exported = "\n".join(f"export const {name} = all.{name}" for name in names)
    return f"const all = {_function(path)}\n{exported}\n"


def _function(path: Path) -> str:
    """The expression whose value is what a CommonJS file exports."""
    text = path.read_text()
    needed = {name: _function(path.parent / f"{name}.js") for name in re.findall(r"require\('\./(\w+)'\)", text)}
    found = ", ".join(f"'./{name}': {code}" for name, code in needed.items())
    return (
        f"(() => {{ const module = {{ exports: {{}} }}, exports = module.exports, found = {{ {found} }};"
        f" const require = name => found[name];\n{text}\nreturn module.exports }})()"
    )


def becomes(tab: Any, box: tuple[float, ...], colour: tuple[int, ...]) -> None:
    tab.wait_for_function(
        "([box, colour]) => look(box).every((level, n) => Math.abs(level - colour[n]) < 16)", arg=[box, colour]
    )


def link(served: Served, kind: str, name: str) -> dict[str, str]:
    made = httpx.post(
        f"{served.url}/api/links", json={"kind": kind, "name": name}, headers={"Authorization": f"Bearer {TOKEN}"}
    )
    found: dict[str, str] = made.json()
    return found


@pytest.mark.parametrize("client", ["whip-web-client", "whip-whep"])
def test_published_clients_publish_and_view_from_another_origin(
    secured: Served, elsewhere: Origin, scene: Path, client: str
) -> None:
    with page(scene) as tab:
        answers: list[tuple[str, int]] = []
        tab.on("response", lambda response: answers.append((response.request.method, response.status)))
        tab.goto(f"{elsewhere.url}/page.html")
        tab.wait_for_function("window.ready")
        publishing, viewing = (f"{secured.url}/{endpoint}/{client}" for endpoint in ("whip", "whep"))
        assert tab.evaluate("([a, t]) => post(a, t)", [publishing, "wrong"])[0::2] == [401, "sign_in"]
        assert "Bearer" in tab.evaluate("([a, t]) => post(a, t)", [viewing, ""])[1], "the page can read why"
        assert tab.evaluate("([a, t]) => post(a, t)", [publishing, TOKEN])[0] == 422
        answers.clear()
        assert tab.evaluate("(to) => publish(...to)", [client, f"{publishing}?{OPTIONS}", TOKEN]), "it trickles"
        wait_live(secured, client)
        tab.evaluate("(address) => view(address)", link(secured, "view", client)["url"])
        becomes(tab, CORNER, SLATE)
        becomes(tab, MIDDLE, DISC)
        tab.evaluate("Promise.all([viewer.stop(), publisher.stop()])")
        waiting.until(lambda: {record["state"] for record in sessions(secured, client)} == {"ended"}, "both end")
        statuses = {method: {status for m, status in answers if m == method} for method in ("POST", "PATCH", "DELETE")}
        late = {409}  # candidates that a client sends after it has stopped
        assert statuses | {"PATCH": statuses["PATCH"] - late} == {"POST": {201}, "PATCH": {204}, "DELETE": {200}}
    assert {record["kind"] for record in sessions(secured, client)} == {"publish", "view"}


def sessions(served: Served, name: str) -> list[dict[str, Any]]:
    found = httpx.get(f"{served.url}/api/sessions", headers={"Authorization": f"Bearer {TOKEN}"}).json()["sessions"]
    return [record for record in found if record["name"] == name]


def wait_live(served: Served, name: str) -> None:
    waiting.until(lambda: [r for r in sessions(served, name) if r["state"] == "live"], f"{name} is live")
