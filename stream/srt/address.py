"""Addresses of SRT: srt://HOST:PORT?mode=caller&passphrase=...&latency=MS&streamid=...

The units and the limits are the same for every program: the latency is in milliseconds, and values are
percent-encoded ("+" is a plus sign). No error message quotes a value, because it may be a passphrase.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

from stream.address import Address
from stream.errors import UsageError

Mode = Literal["caller", "listener"]

DEFAULT_LATENCY_MS = 120  # that of the SRT library
_MAX_LATENCY_MS = 30_000
_PASSPHRASE_BYTES = (10, 79)  # limits of the SRT library
_STREAM_ID_BYTES = 512
_NAME = re.compile(r"[A-Za-z_]{1,24}")


@dataclass(frozen=True)
class SrtAddress:
    """A parsed address. host: without brackets. mode: "caller" connects to HOST:PORT, "listener" waits there.

    latency_ms: time for retransmissions; the larger one of both sides applies. key_bytes: length of the key made from
    the passphrase, 0 for the library's choice. passphrase, stream_id: "" for none; repr() omits them.
    """

    host: str
    port: int
    mode: Mode = "caller"
    latency_ms: int = DEFAULT_LATENCY_MS
    key_bytes: int = 0
    passphrase: str = field(default="", repr=False)
    stream_id: str = field(default="", repr=False)

    @classmethod
    def parse(cls, address: Address) -> Self:
        """Raises UsageError, which names an invalid parameter without its value."""
        parts = urlsplit(address.url)
        if not parts.hostname or parts.port is None or parts.path not in ("", "/") or parts.fragment:
            raise UsageError(
                "write the address as srt://HOST:PORT?mode=caller|listener&passphrase=TEXT&latency=MS&streamid=TEXT, "
                "with & # % in a value as %26 %23 %25"
            )
        if "@" in parts.netloc:
            raise UsageError("SRT has no users: use the parameters passphrase and streamid")
        return cls(parts.hostname, parts.port, **_values(parts.query))

    @property
    def host_and_port(self) -> str:
        """HOST:PORT for a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_secret(self) -> bool:
        """Whether it has a passphrase or a stream id, which must not be in a process list."""
        return bool(self.passphrase or self.stream_id)


def _values(query: str) -> dict[str, Any]:
    """The fields for the parameters of a query."""
    found: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, mark, value = part.partition("=")
        if name not in _PARAMETERS:
            shown = f"unknown SRT parameter {name}" if mark and _NAME.fullmatch(name) else "an unknown SRT parameter"
            raise UsageError(f"{shown}; the parameters are {', '.join(_PARAMETERS)}")
        field_name, read = _PARAMETERS[name]
        if field_name in found:
            raise UsageError(f"the SRT parameter {name} is given twice")
        found[field_name] = read(unquote(value))
    return found


def _mode(text: str) -> str:
    if text not in ("caller", "listener"):
        raise UsageError("the SRT parameter mode must be caller or listener")
    return text


def _latency_ms(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and int(text) <= _MAX_LATENCY_MS):
        raise UsageError(f"the SRT parameter latency must be a number of milliseconds from 0 to {_MAX_LATENCY_MS}")
    return int(text)


def _key_bytes(text: str) -> int:
    if text not in ("0", "16", "24", "32"):
        raise UsageError("the SRT parameter pbkeylen must be 16, 24 or 32")
    return int(text)


def _passphrase(text: str) -> str:
    low, high = _PASSPHRASE_BYTES
    if text and not low <= len(text.encode()) <= high:
        raise UsageError(f"an SRT passphrase must have from {low} to {high} bytes")
    return _printable("passphrase", text)


def _stream_id(text: str) -> str:
    if len(text.encode()) > _STREAM_ID_BYTES:
        raise UsageError(f"the SRT parameter streamid must have at most {_STREAM_ID_BYTES} bytes")
    return _printable("streamid", text)


def _printable(name: str, text: str) -> str:
    if not text.isprintable() or "\ufffd" in text:  # U+FFFD: not UTF-8
        raise UsageError(f"the SRT parameter {name} contains invalid characters")
    return text


_PARAMETERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "mode": ("mode", _mode),
    "passphrase": ("passphrase", _passphrase),
    "latency": ("latency_ms", _latency_ms),
    "streamid": ("stream_id", _stream_id),
    "pbkeylen": ("key_bytes", _key_bytes),
}
"""Parameter -> field of `SrtAddress`, and the function that reads it."""
