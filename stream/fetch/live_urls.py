"""Addresses of live streams that users of the service may give: the source of a feed, and its outputs.

Only network addresses are allowed: a file name or a pipe would read and write on the machine of a worker. Blocks: call
it in a thread. Messages contain only the scheme and the host.
"""

import re
from collections.abc import Collection

from stream.errors import FetchError
from stream.fetch.hosts import checked_addresses
from stream.fetch.urls import parsed
from stream.limits import NAME
from stream.settings import Settings

DEVICE = "camera"
"""The scheme of cameras and virtual cameras: allowed only with MATTEBOX_FEED_DEVICES."""
STREAM = "live"
"""The scheme of what is published on this server: live:NAME, as the source of a feed."""
SOURCE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "http", "https", "whep+http", "whep+https")
OUTPUT_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "whip+http", "whip+https")
_LONGEST = 2048  # characters


def check_live_url(url: str, schemes: Collection[str], settings: Settings) -> None:
    """Check an address, and every IP address of its host, without connecting. schemes: those that may be used.

    Raises FetchError, which does not quote the address.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == DEVICE:
        return _check_device(url, settings)
    if scheme == STREAM and STREAM in schemes:
        return _check_stream(url)
    if len(url) > _LONGEST or any(c.isspace() or not c.isprintable() for c in url):
        raise FetchError(f"the address is longer than {_LONGEST} characters, or contains spaces or control characters")
    parts = parsed(url, schemes)
    if parts is None:
        raise FetchError(f"write it as SCHEME://HOST[:PORT]/PATH, with one of: {', '.join(sorted(schemes))}")
    if parts.scheme == "udp" and "localaddr" in parts.query:
        raise FetchError("udp:// takes no localaddr: packets are received on the address itself")
    host = parts.hostname or ""
    checked_addresses(host, f"{parts.scheme}://{host}"[:200], settings)
    return None


def _check_stream(url: str) -> None:
    if not re.fullmatch(NAME, url.partition(":")[2]):
        raise FetchError("write a stream of this server as live:NAME")


def _check_device(url: str, settings: Settings) -> None:
    if not settings.feed_devices:
        raise FetchError("cameras of the server are not allowed (MATTEBOX_FEED_DEVICES)")
    if len(url) > _LONGEST or not url.isprintable():
        raise FetchError("the name of the camera is too long, or contains control characters")
