"""Whether a Redis can be used at all: tells a wrong REDIS_URL or set-up from a server that is not there yet.

Waiting does not help against the former, so programs refuse to start, with one line that says why.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from stream.errors import ServerError, StoreDown
from stream.records.redis_link import RedisLink, ResponseError

_RETRY_S = 1.0
_PROBE_S = 1.0
_OLDEST = {"redis": 7, "valkey": 8}
_PROBE = "return redis.call('SET', ARGV[1], '', 'PX', 1000)"
_CLUSTER = "it is a node of a Redis Cluster: write redis+cluster://HOST:PORT,HOST:PORT"
_OF_CLUSTER = re.compile(r"SELECT is not allowed|(CLUSTERDOWN|MOVED|ASK|CROSSSLOT)\b|Script attempted .*non local key")
_ADVICE = tuple(
    (re.compile(pattern), advice)
    for pattern, advice in {
        r"no sentinel .*NOAUTH": "the sentinels require a password: add ?sentinel_password=PASSWORD",
        r"no sentinel .*(WRONGPASS|AUTH <password>)": "sentinel_username or sentinel_password is wrong",
        r"no sentinel .*No such master": "the sentinels watch no master with that name",
        r"no sentinel .*unknown command": "it is a Redis server, not a sentinel: write redis://",
        r"no node .*cluster support disabled": "it is not in cluster mode: write redis://HOST:PORT",
        r"(no node .*)?(NOAUTH|Authentication required)": "it requires a password: write redis://:PASSWORD@HOST",
        r"(no node .*)?WRONGPASS": "the user or the password is wrong",
        r"(no node .*)?AUTH <password> called without": "a password is given, but the server requires none",
        r"(no node .*)?(NOPERM|ACL failure|The user executing)": "the user lacks permissions: it needs ~PREFIX* "
        "&PREFIX* +@all -@dangerous",
        r"DB index is out of range": "it has no database with that number",
        r".*CERTIFICATE_VERIFY_FAILED": "its TLS certificate is not trusted: add ?ssl_ca_certs=FILE",
        r".*(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)": "it requires a TLS client certificate: add "
        "?ssl_certfile=FILE&ssl_keyfile=FILE",
        r"Error 13 ": "permission denied to open its socket",
        r".*Error 2 connecting to [^/]": "a file of its TLS options does not exist",
    }.items()
)
"""Beginning of the reason in a StoreDown → what is wrong; PREFIX: that of the keys. Any other reason may pass."""


async def check(link: RedisLink) -> None:
    """Raises ServerError if the server cannot be used and waiting does not help, StoreDown if it cannot be reached now
    or refuses calls for a reason that may pass."""
    try:
        if problem := set_up_problem(await _hello(link), link.place.cluster):
            raise ServerError(f"Redis at {link.address}: {problem}")
        await link.ask("EVAL", _PROBE, 1, link.keys.prefix, link.keys.ping)
        await link.ask("PUBLISH", link.keys.ping, "")
    except StoreDown as exc:
        reason = str(exc).partition(f"{link.address}: ")[2]
        advice = _advice(link, reason) or await _protocol(link)
        if not advice:
            raise
        raise ServerError(f"Redis at {link.address}: {advice} ({reason})") from None
    except ResponseError as exc:  # it has no EVAL, for example
        raise ServerError(f"Redis at {link.address}: it cannot be used ({exc})") from None


async def guarded(link: RedisLink, work: Coroutine[Any, Any, None], stop: Callable[[], object] | None = None) -> None:
    """Run `work`. If Redis turns out to be unusable when it is first reached, stop it and raise ServerError.

    stop: makes `work` return; by default it is cancelled.
    """
    working, checking = asyncio.ensure_future(work), asyncio.ensure_future(_check_once_reached(link))
    try:
        await asyncio.wait([working, checking], return_when=asyncio.FIRST_COMPLETED)
        if not working.done() and checking.exception() is not None:
            (stop or working.cancel)()
            await asyncio.wait([working])
            checking.result()
        await working
    finally:
        checking.cancel()
        working.cancel()
        await asyncio.wait([working, checking])


async def _check_once_reached(link: RedisLink) -> None:
    while True:
        try:
            return await check(link)
        except StoreDown:
            await asyncio.sleep(_RETRY_S)


def _advice(link: RedisLink, reason: str) -> str:
    """What is wrong; "" if the reason may pass."""
    if not link.place.cluster and _OF_CLUSTER.match(reason):
        return _CLUSTER
    advice = next((advice for pattern, advice in _ADVICE if pattern.match(reason)), "")
    return advice.replace("PREFIX", link.keys.prefix)


def set_up_problem(hello: Mapping[str, Any], cluster: bool = False) -> str:
    """What is wrong with a server that describes itself so, as in HELLO; "" if nothing is. cluster: it was found by an
    address of a cluster."""
    server, version = str(hello.get("server", "redis")), str(hello.get("version", ""))
    if hello.get("mode") == "cluster" and not cluster:
        return _CLUSTER
    if hello.get("mode") == "sentinel":
        return "it is a sentinel: write redis+sentinel://HOST:PORT/MASTER"
    major = re.match(r"\d+", version)
    if major and int(major[0]) < _OLDEST.get(server, 0):
        return f"{server} {version} is too old: Mattebox needs Redis 7 or Valkey 8"
    return ""


async def _hello(link: RedisLink) -> dict[str, Any]:
    """The server's description of itself; empty if it gives none."""
    try:
        fields = await link.ask("HELLO")
    except ResponseError:
        return {"version": "5 or older"}
    except StoreDown as exc:
        if "NOPERM" in str(exc):
            return {}
        raise
    return dict(zip(fields[::2], fields[1::2], strict=True))


async def _protocol(link: RedisLink) -> str:
    """What is wrong if the port is open, but is not Redis, or uses TLS where the URL does not, or the reverse."""
    for host, port in link.place.hosts:
        reply = await _attempt(_ping(host.strip("[]"), port))
        if reply is None:
            continue
        speaks_redis = reply[:1] in (b"+", b"-")
        if not speaks_redis and await _attempt(_shake_hands(host.strip("[]"), port)):
            return "" if link.place.tls else "it requires TLS: write rediss instead of redis in the URL"
        if speaks_redis and link.place.tls:
            return "it does not use TLS: write redis instead of rediss in the URL"
        if reply and not speaks_redis:
            return "it is not a Redis server"
    return ""


async def _attempt(work: Awaitable[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(_PROBE_S):
            return await work
    except OSError:
        return None


async def _ping(host: str, port: int) -> bytes:
    """The beginning of the reply to an unencrypted PING; empty if the connection is closed instead."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"PING\r\n\r\n")
        return await reader.read(64)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def _shake_hands(host: str, port: int) -> bytes:
    """Complete a TLS handshake, with any certificate. Returns its version, such as b"TLSv1.3"."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    version: str = writer.get_extra_info("ssl_object").version()
    writer.close()
    return version.encode()
