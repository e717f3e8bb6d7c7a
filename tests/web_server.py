"""A small web server on loopback, for tests of downloads and webhooks."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Origin(ThreadingHTTPServer):
    """files: content by path. types: media types by path, where they matter. redirects: target by path. posts: (path,
    headers, body) of every POST. gets: headers of every GET. status: the response to a POST.

    cut: bytes of a file after which it closes the connection. sized: send Content-Length. slow_s: pause in seconds
    between chunks of 10,000 bytes.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.redirects: dict[str, str] = {}
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.gets: list[dict[str, str]] = []
        self.status = 204
        self.cut: int | None = None
        self.sized = True
        self.slow_s = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: Origin

    def do_GET(self) -> None:
        self.server.gets.append(dict(self.headers))
        path = self.path.partition("?")[0]
        if path in self.server.redirects:
            self.send_response(302)
            self.send_header("Location", self.server.redirects[path])
            self.end_headers()
        elif path in self.server.files:
            content = self.server.files[path]
            self.send_response(200)
            if path in self.server.types:
                self.send_header("Content-Type", self.server.types[path])
            if self.server.sized:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self._write(content[: self.server.cut])
        else:
            self.send_error(404)

    def _write(self, content: bytes) -> None:
        size = 10_000 if self.server.slow_s else max(1, len(content))
        with suppress(OSError):  # the client has closed the connection
            for at in range(0, len(content), size):
                self.wfile.write(content[at : at + size])
                time.sleep(self.server.slow_s)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.posts.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def serving() -> Iterator[Origin]:
    with Origin() as origin:
        thread = threading.Thread(target=origin.serve_forever, args=(0.05,))
        thread.start()
        yield origin
        origin.shutdown()
        thread.join()
