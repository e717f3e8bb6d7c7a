"""How FFmpeg opens live sources on the network and other devices. A new scheme is a line in `PROTOCOLS`.

Every scheme is used with a whitelist of FFmpeg's protocols and formats: what a server sends, such as a playlist or a
redirect, may name others. Imports nothing from FFmpeg, because `SOURCES` lists these schemes.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from stream.address import Address
from stream.errors import UsageError
from stream.fetch.certificates import tls_options
from stream.settings import Settings
from stream.srt.address import SrtAddress

Options = Callable[[Settings], dict[str, str]]
"""FFmpeg's options for a protocol."""

_HTTP = "http,https,tcp,tls,crypto,data"
_HTTP_FORMATS = "mpegts,mov,mp4,flv,matroska,webm,mpjpeg,mjpeg,aac,mp3"
_QUICK = {  # with the defaults the first picture is a second old when it is delivered
    "probesize": "32768",
    "analyzeduration": "100000",
}
_PATIENT = {  # formats whose sound and picture may begin seconds apart; opening ends when both are known
    "probesize": "2000000",
    "analyzeduration": "3000000",
    "fpsprobesize": "2",
}


@dataclass(frozen=True)
class Protocol:
    """How the addresses of a scheme are opened.

    whitelist, formats: FFmpeg's protocols and demuxers that may be used, with commas.
    options: FFmpeg's options. demuxer: the one that reads all these addresses; "": FFmpeg recognises the format.
    tls: connections are encrypted; certificates are verified.
    paced: the server may send faster than real time, such as whole segments: packets are delivered at their times.
    playlists: addresses may be those of HLS playlists, which `playlist` reads. strict: every host is checked by the
    rules for addresses of users.
    check: raises UsageError for an address that cannot be opened.
    opener: "module:function" whose result is opened instead of the URL: called with the address and the settings,
    returns a URL, the name of a device, or a file object of a child process. FFmpeg's calls have no time limit there:
    `close()` may be called from any thread, and makes a waiting `read(size)` return. Its `reason`, if it has one, says
    why it ended; while its `waits_for_caller` is true, there is no time limit. It may raise MatteboxError.
    device: "module:function" for devices of this computer: called with the name in the address and the requested size,
    returns how to open it, best first (`stream/devices/capture.py`). Then only `check` is used besides.
    connecting: "module:function" for protocols that FFmpeg does not read: called with the address, this protocol, the
    settings and the source's options; returns what makes the connections (`Connect` in `connections.py`), or raises
    UsageError.
    forbidden: what a refusal without further information means.
    """

    whitelist: str
    formats: str
    options: Options = lambda settings: _PATIENT
    demuxer: str = ""
    tls: bool = False
    paced: bool = False
    playlists: bool = False
    strict: bool = False
    check: Callable[[Address], object] = Address.check_host
    opener: str = ""
    device: str = ""
    connecting: str = ""
    forbidden: str = "access is forbidden"

    def all_options(self, settings: Settings, insecure: bool) -> dict[str, str]:
        """FFmpeg's options for opening. insecure: accept any certificate. Raises UsageError if none can be verified."""
        whitelists = {"protocol_whitelist": self.whitelist, "format_whitelist": self.formats}
        return {**self.options(settings), **whitelists, **(tls_options(settings, insecure) if self.tls else {})}

    def through(self, proxy: str) -> Self:
        """The same for addresses of users: FFmpeg uses this HTTP proxy, which checks redirects too; playlists are
        strict. Schemes that are not over HTTP are unchanged, and so is everything if there is no proxy. Connections
        without FFmpeg are strict, and check addresses themselves."""
        if proxy and self.connecting:
            return replace(self, strict=True)
        if not proxy or "http" not in self.whitelist.split(","):
            return self
        options, whitelist = {"http_proxy": proxy}, f"{self.whitelist},httpproxy"
        return replace(self, whitelist=whitelist, strict=True, options=lambda s: {**self.options(s), **options})


def _rtsp(settings: Settings) -> dict[str, str]:
    timeout_us = str(round(settings.rtsp_timeout_s * 1e6))
    transport = {"rtsp_transport": settings.rtsp_transport, "timeout": timeout_us}
    return {**_QUICK, **transport, "allowed_media_types": "video+audio"}


def _udp(settings: Settings) -> dict[str, str]:
    return {**_PATIENT, "overrun_nonfatal": "1"}


def _check_udp(address: Address) -> None:
    address.check_host()
    parts = urlsplit(address.url)
    if not parts.port or not parts.hostname:
        raise UsageError("write the address as udp://HOST:PORT, with the address to receive on")


def udp_url(address: Address, settings: Settings) -> str:
    """The URL that receives on the address's host only; FFmpeg receives on all of the machine's by default."""
    parts = urlsplit(address.url)
    try:
        local = not ipaddress.ip_address(parts.hostname or "").is_multicast
    except ValueError:
        local = True
    fields = [parts.query, f"localaddr={parts.hostname}" if local and "localaddr=" not in parts.query else ""]
    return f"udp://{parts.netloc.rpartition('@')[2]}?{'&'.join(filter(None, fields))}"


def _check_srt(address: Address) -> None:
    SrtAddress.parse(address)


def _check_camera(address: Address) -> None:
    from stream.devices.capture import inputs_of

    inputs_of(address.name)


_WHEP = Protocol("none", "none", connecting="stream.rtc.whep_source:connecting")
_UNPUBLISHED = "nothing is published there yet, or it may not be played"

PROTOCOLS = {
    "rtsp": Protocol("rtsp,rtp,tcp,udp", "rtsp", _rtsp),
    "rtsps": Protocol("rtsps,rtsp,rtp,tcp,udp,tls", "rtsp", _rtsp, tls=True),
    "rtmp": Protocol("rtmp,tcp", "flv,live_flv", forbidden=_UNPUBLISHED),
    "rtmps": Protocol("rtmps,rtmp,tcp,tls", "flv,live_flv", tls=True, forbidden=_UNPUBLISHED),
    "http": Protocol(_HTTP, _HTTP_FORMATS, paced=True, playlists=True),
    "https": Protocol(_HTTP, _HTTP_FORMATS, tls=True, paced=True, playlists=True),
    "camera": Protocol(
        *("", ""),
        check=_check_camera,
        device="stream.devices.capture:inputs_of",
        forbidden="no permission to use the camera",
    ),
    "udp": Protocol(
        "udp", "mpegts", _udp, demuxer="mpegts", check=_check_udp, opener="stream.sources.live.protocols:udp_url"
    ),
    "srt": Protocol("none", "mpegts", demuxer="mpegts", check=_check_srt, opener="stream.srt:open_source"),
    "whep+https": _WHEP,
    "whep+http": _WHEP,
}
"""By the scheme of the address."""
