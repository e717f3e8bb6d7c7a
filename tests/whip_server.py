"""A WHIP server for tests: HTTP on loopback, and Mattebox's receiving side of WebRTC on a loop in a thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stream.picture.frames import Frame
from stream.rtc.aiortc_overrides import Encoded
from stream.rtc.peer import Peer
from tests.rtc import SETTINGS
from tests.waiting import PATIENCE_S

TOKEN = "a-token"


class WhipServer(ThreadingHTTPServer):
    """refusals: (status, headers) of the next responses to offers. requests: (method, path, token) of all requests.

    frames, sounds: what was received, of all sessions. offers: their SDP. links: Link headers of responses to OPTIONS.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self.requests: list[tuple[str, str, str]] = []
        self.offers: list[str] = []
        self.links: list[str] = []
        self.frames: list[Frame] = []
        self.sounds: list[Encoded] = []
        self.peers: dict[str, Peer] = {}
        self.url = f"http://127.0.0.1:{self.server_port}/whip/stage"
        self.loop = asyncio.new_event_loop()
        self._running = [threading.Thread(target=self.loop.run_forever), threading.Thread(target=self.serve_forever)]
        for thread in self._running:
            thread.start()

    def call(self, work: Any) -> Any:
        """The result of a coroutine, on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def answer(self, offer: str) -> tuple[str, str]:
        """The path of a new session, and the answer."""
        self.offers.append(offer)
        path = f"/whip/stage/{len(self.offers)}"
        answer = self.call(self._answer(path, offer))
        source = self.peers[path].source
        assert source is not None
        reading = threading.Thread(target=lambda: self.frames.extend(source), daemon=True)
        reading.start()
        return path, answer

    async def _answer(self, path: str, offer: str) -> str:
        peer = self.peers[path] = Peer(SETTINGS)
        peer.on_sound = self.sounds.append
        return await peer.answer(offer)

    def vanish(self) -> None:
        """All sessions end without a goodbye, as if the server was killed."""
        self.call(self._vanish())

    async def _vanish(self) -> None:
        for peer in self.peers.values():
            for connection in peer._connections:
                for protocol in connection._protocols:
                    protocol.transport.abort()

    def close(self) -> None:
        for peer in self.peers.values():
            self.call(peer.close("bye"))
        self.shutdown()
        self.server_close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        for thread in self._running:
            thread.join()
        self.loop.close()


class _Answers(BaseHTTPRequestHandler):
    server: WhipServer

    def do_OPTIONS(self) -> None:
        self._note()
        self._send(204, {})

    def do_POST(self) -> None:
        self._note()
        offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.server.refusals:
            status, headers = self.server.refusals.pop(0)
            self._send(status, headers)
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._send(401, {})
        else:
            path, answer = self.server.answer(offer)
            self._send(201, {"Location": path, "Content-Type": "application/sdp"}, answer.encode())

    def do_DELETE(self) -> None:
        self._note()
        self.server.call(self.server.peers[self.path].close("deleted"))
        self._send(200, {})

    def _note(self) -> None:
        self.server.requests.append((self.command, self.path, self.headers["Authorization"] or ""))

    def _send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        for link in self.server.links if self.command == "OPTIONS" else []:
            self.send_header("Link", link)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def whip_server() -> Iterator[WhipServer]:
    server = WhipServer()
    try:
        yield server
    finally:
        server.close()
