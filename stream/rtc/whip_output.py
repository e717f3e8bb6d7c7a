"""A WHIP output: a `PacketWriter` (`stream/sinks/live/base.py`) whose client runs on a loop in a thread of its own."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import Self
from urllib.parse import urlsplit

from stream.errors import MatteboxError, RemoteError, UsageError
from stream.rtc.whip_client import WhipClient
from stream.rtc.whip_http import WhipHttp, is_loopback
from stream.settings import Settings
from stream.sinks.live import reasons
from stream.sinks.live.base import EncodeControl
from stream.sinks.live.packets import Packet, Tracks
from stream.sinks.live.spec import OutputSpec

_JOIN_S = 8.0


class WhipOutput:
    """One session with a WHIP server. The loop and its thread end with it."""

    @classmethod
    def check(cls, spec: OutputSpec, settings: Settings) -> None:
        """whip+http is for this machine only, unless the output is insecure: it would show the token to the network."""
        spec.address.check_host()
        host = urlsplit(spec.address.url).hostname or ""
        if spec.address.has_user:
            raise UsageError("WHIP has no users; give a token with --token, or to a feed with --whip-token or token")
        if spec.address.scheme == "whip+http" and not (spec.insecure or is_loopback(host)):
            raise UsageError("whip+http:// is not encrypted; use whip+https://, or --insecure to send it anyway")
        if spec.token and not (spec.token.isascii() and spec.token.isprintable() and " " not in spec.token):
            raise UsageError("the token contains invalid characters")

    @classmethod
    def from_spec(cls, spec: OutputSpec, settings: Settings, control: EncodeControl) -> Self:
        return cls(spec, settings, control)

    def __init__(self, spec: OutputSpec, settings: Settings, control: EncodeControl) -> None:
        self._url = spec.address.url.removeprefix("whip+")
        self._http = WhipHttp(spec.token or "", spec.insecure, settings, settings.output_timeout_s, spec.strict)
        self._settings, self._control = settings, control
        self._opened: Future[None] = Future()
        self._ended = threading.Event()
        self._aborted = False
        self._reason = reasons.ABORTED
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def open(self, tracks: Tracks) -> None:
        self._thread = threading.Thread(target=self._run, args=(tracks,), name="whip", daemon=True)
        self._thread.start()
        self._opened.result()

    def write(self, packet: Packet) -> None:
        if self._ended.is_set() or not self._call(self._client.send, packet):
            raise RemoteError(self._reason)

    def close(self) -> None:
        self._call(self._task.cancel)
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def abort(self) -> None:
        self._aborted = True
        if self._loop is not None:
            self._call(self._task.cancel)

    def _call(self, function: object, *arguments: object) -> bool:
        """Call a function on the loop. Returns whether the loop still runs."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *arguments)  # type: ignore[arg-type]
        except RuntimeError:  # closed
            return False
        return True

    def _run(self, tracks: Tracks) -> None:
        """In the thread: the whole session. Every end is reported to `open` or `write`."""
        try:
            asyncio.run(self._session(tracks))
        except MatteboxError as exc:
            self._fail(exc)
        except BaseException as exc:  # noqa: BLE001 - raised in `open`, or reported by `write`
            self._fail(RemoteError(reasons.ABORTED) if isinstance(exc, asyncio.CancelledError) else exc)
        finally:
            self._ended.set()

    def _fail(self, exc: BaseException) -> None:
        self._reason = str(exc) if isinstance(exc, MatteboxError) else reasons.DIED
        if not self._opened.done():
            self._opened.set_exception(exc)

    async def _session(self, tracks: Tracks) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._client = WhipClient(self._url, self._http, self._settings, self._control)
        self._loop = asyncio.get_running_loop()
        if self._aborted:
            raise RemoteError(reasons.ABORTED)
        try:
            await self._client.connect(tracks)
            self._opened.set_result(None)
            await self._client.ended()
            raise RemoteError(self._client.reason)
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._client.close(), self._settings.output_timeout_s)
