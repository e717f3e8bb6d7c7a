"""HTTP client of a server's API: JSON requests, downloads, and uploads that can be resumed.

Uses Python's own HTTP client, which is sufficient: one request at a time, uploads in pieces.
"""

import base64
import hashlib
import http.client
import json
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit
from uuid import uuid4

from stream.errors import RemoteError, UsageError, disk_error, is_disk_trouble
from stream.fetch.urls import parsed
from stream.records import http_paths
from stream.settings import Settings
from stream.sinks.parts.partial import Partial

_TUS = {http_paths.TUS_HEADER: http_paths.TUS_VERSION}
_BINARY = {"Content-Type": "application/octet-stream"}
_PIECE = 8 * 2**20  # bytes of an upload per request, and the most that is sent again after an interruption
_CHUNK = 2**18
_TIMEOUT_S = 30.0
_GIVE_UP_S = 60.0  # requests to a server that is unreachable or busy are retried for this long
_RETRY_S = 1.0
_BUSY = (423, 429, 503)

T = TypeVar("T")
Update = Callable[[int, int], object]
"""Called with the progress: the amount done, and the total."""


class _Unreachable(RemoteError):  # noqa: N818
    """The server is unreachable or busy, perhaps only for a moment."""


@dataclass(frozen=True)
class Reply:
    headers: http.client.HTTPMessage
    body: bytes


class Remote:
    """url: of the server. token: of the user, or "". Every method can raise RemoteError."""

    def __init__(self, url: str, token: str, settings: Settings) -> None:
        self._parts = _address(url)
        if not (token.isascii() and token.isprintable()):
            raise UsageError("the token contains invalid characters")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._known = settings.cache_dir / "uploads.json"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a JSON request. Returns the JSON response, None if it is empty. headers: by name, with `_` for `-`.

        Retried for a minute while the server is unreachable or busy.
        """
        content = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if content else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = _retried(lambda: self._once(method, path, content, kind | named))
        return json.loads(answer.body) if answer.body else None

    def submit(self, request: dict[str, Any]) -> dict[str, Any]:
        """Queue a job; it is queued once, even if the request has to be repeated. Returns the job."""
        return self.create(http_paths.JOBS, request)

    def create(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        """Create a record at a path that takes an `Idempotency-Key`: once, even if the request has to be repeated."""
        created: dict[str, Any] = self.ask("POST", path, request, Idempotency_Key=uuid4().hex)
        return created

    def largest_upload(self) -> int | None:
        """The most bytes that an upload may have; None if the server does not limit it."""
        headers = _retried(lambda: self._once("OPTIONS", http_paths.UPLOADS, None, _TUS)).headers
        limit = headers.get("Tus-Max-Size", "")
        return int(limit) if limit.isdecimal() else None

    def backgrounds(self) -> list[str]:
        """The specs of the backgrounds on the server: the gallery, and the user's own."""
        return [choice["spec"] for choice in self.ask("GET", http_paths.BACKGROUNDS)["backgrounds"]]

    def add_background(self, content: bytes) -> str:
        """Add a picture or video to the user's own backgrounds, if it is not there yet. Returns its spec.

        Those uploaded from this machine are recognised by their content.
        """
        mark = f"{self._parts.netloc} background {hashlib.sha256(content).hexdigest()}"
        spec = self._remembered().get(mark)
        if spec is None or spec not in self.backgrounds():
            answer = _retried(lambda: self._once("POST", http_paths.BACKGROUNDS, content, _BINARY))
            spec = str(json.loads(answer.body)["spec"])
            self._remember(mark, spec)
        return spec

    def upload(self, path: Path, update: Update) -> str:
        """Upload a file; resumes an interrupted upload of it. Returns its id on the server. Raises UsageError."""
        try:
            content, size = path.open("rb"), path.stat().st_size
        except OSError as exc:
            raise UsageError(f"{path}: {exc.strerror}") from None
        with content:
            place, offset = self._start_or_resume(path, size)
            while offset < size:
                update(offset, size)
                offset = self._piece(place, offset, content)
        update(size, size)
        self._remember(self._mark(path), None)
        return place.rpartition("/")[2]

    def _start_or_resume(self, path: Path, size: int) -> tuple[str, int]:
        """The URL path of the file's upload, and how many bytes of it the server has."""
        if (place := self._remembered().get(self._mark(path))) is not None:
            with suppress(RemoteError):  # else it has expired
                return place, self._offset(place)
        name = base64.b64encode(path.name.encode()).decode()
        headers = _TUS | {"Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
        answer = _retried(lambda: self._once("POST", http_paths.UPLOADS, None, headers))
        place = urlsplit(urljoin(self._parts.geturl(), answer.headers["Location"])).path
        self._remember(self._mark(path), place)
        return place, 0

    def _piece(self, place: str, offset: int, content: BinaryIO) -> int:
        """Send the next piece. Returns how many bytes the server has then."""
        content.seek(offset)
        headers = _TUS | {"Upload-Offset": str(offset), "Content-Type": http_paths.TUS_TYPE}
        try:
            return int(self._once("PATCH", place, content.read(_PIECE), headers).headers["Upload-Offset"])
        except _Unreachable:
            time.sleep(_RETRY_S)  # the server may have asked for a pause
            return self._offset(place)

    def _offset(self, place: str) -> int:
        return int(_retried(lambda: self._once("HEAD", place, None, _TUS)).headers["Upload-Offset"])

    def download(self, path: str, final: Path, update: Update) -> None:
        """Download a URL path into a file, which appears only when it is complete. Continues after an interruption.

        Raises DiskError.
        """
        partial = Partial(final)
        try:
            with partial.path.open("wb") as file:
                size, etag = None, ""
                while size is None or file.tell() < size:
                    size, etag = _retried(lambda: self._more(path, file, etag, update))  # noqa: B023 - called at once
            partial.publish()
        except OSError as exc:
            raise disk_error(exc, final) from exc
        finally:
            partial.discard()

    def _more(self, path: str, file: BinaryIO, etag: str, update: Update) -> tuple[int, str]:
        """Append to `file` what it lacks, until the end or an interruption. etag: of the content so far.

        Returns the complete size and the etag. Raises _Unreachable if nothing was received.
        """
        begin = file.tell()
        headers = {"Range": f"bytes={begin}-", "If-Range": etag} if begin else {}
        with self._response("GET", path, None, headers) as response:
            if response.status != http.client.PARTIAL_CONTENT:
                begin = file.seek(0)
                file.truncate()
            size = begin + int(response.headers["Content-Length"])
            with suppress(ConnectionError, TimeoutError, http.client.HTTPException):
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    update(file.tell(), size)
            if file.tell() == begin < size:
                raise _Unreachable("the server closed the connection before the end")
            return size, response.headers.get("ETag", "")

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        with self._response(method, path, body, headers) as response:
            return Reply(response.headers, response.read())

    @contextmanager
    def _response(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=_TIMEOUT_S)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # a refusal may arrive before the whole body is sent
                connection.request(method, path, body, self._headers | headers)
            response = connection.getresponse()
            if response.status >= 300:
                raise _refusal(response.status, response.read())
            yield response
        except ssl.SSLError as exc:
            raise RemoteError(_tls_reason(self._parts.netloc, exc)) from None
        except (OSError, http.client.HTTPException) as exc:
            if isinstance(exc, OSError) and is_disk_trouble(exc):
                raise
            reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            raise _Unreachable(f"{self._parts.netloc} cannot be reached: {reason}") from None
        finally:
            connection.close()

    # Unfinished uploads, and backgrounds. A video is identified by its path, size and modification time.

    def _mark(self, path: Path) -> str:
        stat = path.stat()
        return f"{self._parts.netloc} {path.resolve()} {stat.st_size} {stat.st_mtime_ns}"

    def _remembered(self) -> dict[str, str]:
        with suppress(OSError, ValueError):
            known: dict[str, str] = json.loads(self._known.read_text())
            return known
        return {}

    def _remember(self, mark: str, place: str | None) -> None:
        known = self._remembered() | {mark: place}
        with suppress(OSError):  # then a later call starts from the beginning
            self._known.parent.mkdir(parents=True, exist_ok=True)
            self._known.write_text(json.dumps({mark: at for mark, at in known.items() if at}))


def _address(url: str) -> SplitResult:
    """Parse the address of a server. Raises UsageError."""
    parts = parsed(url, ("http", "https"))
    if parts is None:
        raise UsageError(f"{url!r} is not a server address; write it as http://127.0.0.1:8080")
    return parts


def _retried(ask: Callable[[], T]) -> T:
    began_s, reported = time.monotonic(), False
    while True:
        try:
            return ask()
        except _Unreachable as exc:
            if time.monotonic() - began_s > _GIVE_UP_S:
                raise
            if not reported:  # at once: perhaps no server was started
                print(f"{exc}; retrying for {_GIVE_UP_S:.0f} s", file=sys.stderr)
            reported = True
            time.sleep(_RETRY_S)


def _tls_reason(server: str, exc: ssl.SSLError) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        hint = "for a self-signed certificate, set SSL_CERT_FILE to a copy of it"
        return f"the certificate of {server} is not trusted: {exc.verify_message}; {hint}"
    return f"{server} does not answer over HTTPS ({exc.reason}); if it has no certificate, use http://{server}"


def _refusal(status: int, body: bytes) -> RemoteError:
    """The error for a response of the server, in one line."""
    try:
        problem = json.loads(body)
        detail = str(problem.get("detail") or problem.get("title"))
        faults = [fault["field"] for fault in problem.get("errors", []) if fault["field"]]
        field = f" ({', '.join(faults)})" if faults else ""
    except (ValueError, AttributeError, TypeError, KeyError):
        detail, field = f"HTTP status {status}; is it a Mattebox server?", ""
    return (_Unreachable if status in _BUSY else RemoteError)(f"the server: {detail}{field}")
