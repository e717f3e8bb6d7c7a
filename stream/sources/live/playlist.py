"""Reads what an HLS playlist names: segments, keys, other playlists. FFmpeg itself would verify no certificate of them,
and would open any address.

A playlist may name parts on its own host and on public hosts, but not on other hosts of a private network.
"""

import io
import re
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from stream.address import Address
from stream.errors import FetchError
from stream.fetch.certificates import tls_context
from stream.fetch.safe_http import request
from stream.settings import Settings
from stream.sources.live.connection_errors import refusal

PLAYLIST_NAMES = (".m3u8", ".m3u")
"""What the path of a playlist usually ends with."""

PLAYLIST_OPTIONS = {
    "format_whitelist": "hls,mpegts,mov,mp4,aac,mp3",
    "http_persistent": "0",  # FFmpeg would look for connections of its own
    "http_multiple": "0",
}
"""FFmpeg's options that go with `Parts`."""

_URL = re.compile(r"https?://[^ ]*[^ :]")
_CRYPTO = ("crypto+", "crypto:")  # before the URL of an encrypted segment
_MAX_PLAYLIST = 4 * 2**20  # bytes; FFmpeg would keep a line of an endless one for each segment
_MAX_ENCRYPTED = 64 * 2**20  # bytes of an encrypted segment
_AES_BLOCK_BITS = 128


class Parts:
    """To pass to `av.open` as `io_open`. address: of the playlist. strict: its own host is checked like any other.

    reason: why the first part was not read that is not merely missing; quotes no address. From then on nothing is
    opened, because FFmpeg would try again and again.
    """

    def __init__(self, address: Address, settings: Settings, insecure: bool, strict: bool = False) -> None:
        self._host, self._settings = "" if strict else urlsplit(address.url).hostname or "", settings
        self._has_user, self._has_playlist = address.has_user, False
        self._tls = tls_context(settings, insecure)
        self.reason = ""

    def __call__(self, url: str, flags: int, options: Mapping[str, str]) -> Any:
        """A file object, which is empty if the part cannot be read: FFmpeg then continues with the next one."""
        encrypted = url.startswith(_CRYPTO)
        try:
            part = self._open(url[len(_CRYPTO[0]) :] if encrypted else url, _range(options))
            return _decrypted(part, options) if encrypted else part
        except FetchError as exc:
            self.reason = self.reason or str(exc)
            return io.BytesIO()

    def _open(self, url: str, headers: Mapping[str, str]) -> Any:
        if self.reason:
            raise FetchError(self.reason)
        if not url.startswith(("http://", "https://")):
            raise FetchError("the playlist names a part that is not at an HTTP address")
        settings, stack = self._settings, ExitStack()
        silence_s = settings.rtsp_timeout_s
        try:
            response = stack.enter_context(
                request("GET", url, settings, None, headers, silence_s, self._host, self._tls)
            )
        except FetchError as exc:
            name = "a part of the playlist" if self._has_playlist else "the playlist"
            raise FetchError(_URL.sub(name, str(exc))) from None
        if response.status in (200, 206):
            self._has_playlist = True
            return _Part(response, stack)
        stack.close()
        if not self._has_playlist:
            raise FetchError(refusal(response.status, self._has_user))
        return io.BytesIO()  # segments of a live playlist disappear


class _Part:
    """The body of a response, as a file object."""

    def __init__(self, response: Any, stack: ExitStack) -> None:
        self._response, self._stack = response, stack
        self._size, self._is_playlist = 0, False

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._response.read1(size) if size >= 0 else self._response.read()
        if self._size == 0:
            self._is_playlist = data.startswith(b"#EXTM3U")
        self._size += len(data)
        return b"" if self._is_playlist and self._size > _MAX_PLAYLIST else data

    def close(self) -> None:
        self._stack.close()


def _range(options: Mapping[str, str]) -> dict[str, str]:
    """The header for a part of a file."""
    if "end_offset" not in options:
        return {}
    return {"Range": f"bytes={int(options.get('offset', 0))}-{int(options['end_offset']) - 1}"}


def _decrypted(part: Any, options: Mapping[str, str]) -> io.BytesIO:
    """The content of a segment that is encrypted with AES-128 in CBC mode. Raises FetchError if it cannot be read."""
    data = part.read(_MAX_ENCRYPTED) if isinstance(part, io.BytesIO) else _read_all(part)
    try:
        key, vector = bytes.fromhex(options["key"]), bytes.fromhex(options["iv"])
        decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
        unpadder = PKCS7(_AES_BLOCK_BITS).unpadder()
        plain = unpadder.update(decryptor.update(data) + decryptor.finalize())
        return io.BytesIO(plain + unpadder.finalize() if data else b"")
    except (KeyError, ValueError):
        raise FetchError("an encrypted segment of the playlist cannot be decrypted") from None


def _read_all(part: Any) -> bytes:
    chunks, size = [], 0
    while chunk := part.read(2**16):
        chunks.append(chunk)
        size += len(chunk)
        if size > _MAX_ENCRYPTED:
            raise FetchError("an encrypted segment of the playlist is too large")
    part.close()
    return b"".join(chunks)
