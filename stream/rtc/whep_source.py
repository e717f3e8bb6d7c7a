"""A WHEP server as a live source: connections for `stream/sources/live/network.py`.

A connection has two threads: an event loop with the client, and the decoder.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast
from urllib.parse import urlsplit

import av

from stream.address import Address
from stream.errors import MatteboxError, RemoteError, UsageError
from stream.picture.frames import Sound
from stream.rtc.aiortc_overrides import Encoded
from stream.rtc.decoding import EncodedQueue, PictureDecoder
from stream.rtc.signalling import HttpSignalling, Signalling
from stream.rtc.whep_client import WhepClient
from stream.rtc.whip_http import WhipHttp, is_loopback
from stream.settings import Settings
from stream.sources.base import SourceOptions
from stream.sources.live.connection import Deliver, Picture, SoundPacket
from stream.sources.live.connection_errors import CLOSED
from stream.sources.live.connections import Connect
from stream.sources.live.format import LiveFormat, Template
from stream.sources.live.protocols import Protocol

_log = logging.getLogger(__name__)
_RATE = Fraction(30)  # assumed: WebRTC names none
_SQUARE = Fraction(1)
_MAX_BLIND = 4  # time limits without a decoded picture: the decoder may have to wait for a keyframe
_SOUND = LiveFormat("opus", 48_000, "stereo")


class WhepConnection:
    """One session, read in threads of its own after `start`. The attributes are those of `LiveConnection`
    (`stream/sources/live/connections.py`).

    signalling: called on the session's event loop. deliver: called with each picture and packet of sound, from two
    threads. number: passed on with what is delivered.
    """

    grace_s = 2.0  # to end the session on the server

    def __init__(self, signalling: Callable[[], Signalling], settings: Settings, deliver: Deliver, number: int) -> None:
        self._signalling, self._settings, self._deliver, self._number = signalling, settings, deliver, number
        self._abandoned = threading.Event()
        self._heard_s = self._decoded_s = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._client: WhepClient | None = None
        self._sound: av.AudioStream | None = None
        self._queue = EncodedQueue(self._abandoned.is_set, self._request_keyframe, Counter())
        self.opened = False
        self.ended = threading.Event()
        self.reason = ""

    @property
    def has_sound(self) -> bool | None:
        return None if self._client is None else self._client.has_sound

    @property
    def overdue(self) -> str:
        """The reason to stop waiting for the server; empty while the time limit has not passed."""
        limit_s, now_s = self._settings.rtsp_timeout_s, time.monotonic()
        if not self.opened:  # the client has time limits of its own, for each step
            longest_s = 3 * limit_s + 2 * self._settings.connect_timeout_s
            return "the source did not answer in time" if now_s - self._heard_s > longest_s else ""
        if now_s - self._heard_s > limit_s:
            return f"the source sent no picture for {limit_s:g} s"
        return "the source's video cannot be decoded" if now_s - self._decoded_s > _MAX_BLIND * limit_s else ""

    def start(self) -> None:
        threading.Thread(target=self._run, name="whep", daemon=True).start()

    def abandon(self) -> None:
        self._abandoned.set()
        self._queue.close()
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._task.cancel)

    # In the thread of the event loop.

    def _run(self) -> None:
        try:
            asyncio.run(self._session())
        except asyncio.CancelledError:
            self.reason = CLOSED
        except MatteboxError as exc:
            self.reason = str(exc)
        except Exception as exc:  # noqa: BLE001 - the owner reconnects after any error
            _log.warning("the connection failed: %r", exc)
            self.reason = "the connection failed"
        finally:
            self._abandoned.set()
            self._queue.close()
            self.ended.set()

    async def _session(self) -> None:
        """Raises RemoteError when the session has ended, or cannot be started."""
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        if self._abandoned.is_set():
            raise RemoteError(CLOSED)
        client = self._client = WhepClient(self._signalling(), self._settings, self._queue.put, self._hear)
        try:
            await client.connect()
            self._sound = Template(_SOUND).stream if client.has_sound else None
            self._heard_s = self._decoded_s = time.monotonic()
            self.opened = True
            threading.Thread(target=self._decode, name="whep decoder", daemon=True).start()
            await client.ended()
            raise RemoteError(client.reason)
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(client.close(), self._settings.rtsp_timeout_s)

    def _hear(self, sound: Encoded, time_s: float) -> None:
        if self._sound is None:
            return
        packet: Any = av.Packet(sound.data)
        packet.stream, packet.pts, packet.time_base = self._sound, sound.pts, _SOUND.time_base
        self._send(SoundPacket(cast(Sound, packet), time_s, self._number))

    # In the thread of the decoder.

    def _decode(self) -> None:
        """Deliver all pictures until the connection ends, and end it after an unexpected error."""
        try:
            self._decode_all()
        except Exception:  # noqa: BLE001 - the owner reconnects after any error
            _log.exception("a picture could not be delivered")
            self.abandon()

    def _decode_all(self) -> None:
        decoder = PictureDecoder(self._settings, self._request_keyframe, Counter())
        for encoded in self._queue:
            self._heard_s = encoded.arrived_s
            for picture in decoder(encoded):
                self._decoded_s = time.monotonic()
                time_s = encoded.pts / 90_000
                self._send(Picture(picture, time_s, encoded.arrived_s, _SQUARE, _RATE, self._number))

    def _request_keyframe(self) -> None:
        if self._client is not None:
            self._client.request_keyframe()

    def _send(self, item: Picture | SoundPacket) -> None:
        if not self._abandoned.is_set():
            self._deliver(item)


def connecting(address: Address, protocol: Protocol, settings: Settings, options: SourceOptions) -> Connect:
    """Makes connections to the server at an address `whep+https://` or `whep+http://`.

    Raises UsageError for an address that cannot be opened. A token is not sent without encryption to another machine,
    unless the source is insecure.
    """
    host, token = urlsplit(address.url).hostname or "", options.token or ""
    if address.has_user:
        raise UsageError(
            "WHEP has no users; give a token with --source-token, or to a feed with --whep-token or source_token"
        )
    if address.scheme == "whep+http" and token and not (options.insecure or is_loopback(host)):
        raise UsageError("whep+http:// is not encrypted; use whep+https://, or --insecure to send the token anyway")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError("the token contains invalid characters")
    http = WhipHttp(token, options.insecure, settings, settings.rtsp_timeout_s, protocol.strict, "WHEP")
    url = address.url.removeprefix("whep+")
    return lambda deliver, number: WhepConnection(lambda: HttpSignalling(url, http), settings, deliver, number)
