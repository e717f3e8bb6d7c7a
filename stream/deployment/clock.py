"""The clock of this machine against those of Redis and of the S3 server.

Leases, sessions and jobs go by the clock of Redis. Cookies, signed links and TURN credentials go by that of the web
process; S3 refuses requests that are 15 minutes wrong.
"""

import asyncio
import http.client
import os
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from stream.errors import MatteboxError
from stream.finding import Finding
from stream.records.redis_link import RedisLink
from stream.settings import Settings

_NOTED_S, _WRONG_S = 3.0, 60.0
_TIMEOUT_S = 5.0
_AMAZON = "https://s3.amazonaws.com"


async def check(settings: Settings) -> list[Finding]:
    found = []
    if settings.redis_url:
        link = RedisLink(settings.redis_url)
        try:
            found.append(await against_redis(link))
        finally:
            await link.close()
    if settings.storage.startswith("s3://"):
        endpoint = settings.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL") or _AMAZON
        found.append(await asyncio.to_thread(against_http, endpoint))
    return found


async def against_redis(link: RedisLink) -> Finding:
    try:
        began_s = time.time()
        remote_s = await link.now_s()
        return difference("redis", remote_s - (began_s + time.time()) / 2)
    except MatteboxError as exc:
        return Finding("clock", None, f"not compared with that of Redis: {exc}")


def against_http(url: str) -> Finding:
    """url: any address of the server; only the date of the response matters. Blocks."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("HEAD", "/")
        date = connection.getresponse().getheader("Date")
    except (OSError, http.client.HTTPException) as exc:
        return Finding("clock", None, f"not compared with that of {parts.hostname}: {exc}")
    finally:
        connection.close()
    if date is None:
        return Finding("clock", None, f"not compared with that of {parts.hostname}: it sends no date")
    return difference("the S3 server", parsedate_to_datetime(date).timestamp() + 0.5 - time.time())


def difference(owner: str, ahead_s: float) -> Finding:
    """ahead_s: by how much the clock of `owner` is ahead of this machine's."""
    detail = f"{abs(ahead_s):.1f} s {'behind' if ahead_s > 0 else 'ahead of'} that of {owner}"
    if abs(ahead_s) < _NOTED_S:
        return Finding("clock", True, detail)
    remedy = "synchronise both machines with a time server (systemd-timesyncd, chrony)"
    return Finding("clock", False if abs(ahead_s) > _WRONG_S else None, detail, remedy)
