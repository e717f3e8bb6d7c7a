"""Addresses of Redis, as REDIS_URL gives them. Does not import a Redis client and opens no connection.

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]      one server
    rediss://…                                    the same over TLS
    unix:///PATH[?db=DB]                          one server on a unix socket
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]…/MASTER[/DB]
                                                  the current master of a group that Redis Sentinel watches
    rediss+sentinel://…                           the same over TLS, to the sentinels too

Options follow after `?`, as `ssl_ca_certs=FILE`. With Sentinel, USER and PASSWORD are those of the master;
`sentinel_username` and `sentinel_password` are options for sentinels that require a login too.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from stream.errors import UsageError

_PORT, _SENTINEL_PORT = 6379, 26379
_SENTINEL = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
_SCHEMES = ("redis", "rediss", "unix", *_SENTINEL)
_CREDENTIALS = ("sentinel_username", "sentinel_password")
_NO_HOST = "master"  # stands for the master's host, which the sentinels know
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:,\[\]@/\s]+)(?::(\d{1,5}))?")


@dataclass(frozen=True)
class RedisAddress:
    """shown: the address without user, password and options, for messages. url: of the server, in the client's syntax.

    hosts: (host, port) of the server or of the sentinels; empty for a unix socket. sentinels: their URLs, in the
    client's syntax; empty without Sentinel. master: the name of the group that they watch. With Sentinel, the host and
    port of `url` are meaningless: the sentinels know them.
    """

    shown: str
    url: str
    hosts: tuple[tuple[str, int], ...] = ()
    sentinels: tuple[str, ...] = ()
    master: str = ""

    @property
    def tls(self) -> bool:
        return self.shown.startswith("rediss")


def parse(url: str) -> RedisAddress:
    """Raises UsageError."""
    scheme, _, rest = url.partition("://")
    rest, _, options = rest.partition("?")
    user, _, place = rest.rpartition("@")
    shown = f"{scheme}://{place}"
    try:
        if scheme not in _SCHEMES or not url.startswith(f"{scheme}://"):
            raise ValueError(f"write it as {', '.join(f'{name}://' for name in _SCHEMES)}…")
        if scheme == "unix":
            return RedisAddress(shown, url)
        if scheme in _SENTINEL:
            return _with_sentinel(shown, _SENTINEL[scheme], user, place, options)
        host, _, database = place.partition("/")
        _check_database(database)
        return RedisAddress(shown, url, _hosts(host or "localhost", _PORT, several=False))
    except ValueError as exc:
        raise UsageError(f"REDIS_URL={shown!r}: {exc}") from None


def _with_sentinel(shown: str, scheme: str, user: str, place: str, options: str) -> RedisAddress:
    hosts, _, path = place.partition("/")
    master, _, database = path.partition("/")
    if not master:
        raise ValueError("name the master that the sentinels watch: …://HOST:PORT,HOST:PORT/MASTER")
    _check_database(database)
    pairs = parse_qsl(options, keep_blank_values=True)
    own = urlencode([(name, value) for name, value in pairs if name not in _CREDENTIALS])
    tls = urlencode([(name, value) for name, value in pairs if name.startswith("ssl_")])
    name, password = (quote(dict(pairs).get(option, ""), safe="") for option in _CREDENTIALS)
    login = f"{name}:{password}@" if password else ""
    found = _hosts(hosts, _SENTINEL_PORT, several=True)
    sentinels = tuple(f"{scheme}://{login}{host}:{port}?{tls}" for host, port in found)
    url = f"{scheme}://{user}{'@' if user else ''}{_NO_HOST}/{database}?{own}"
    return RedisAddress(shown, url, found, sentinels, master)


def _hosts(text: str, port: int, several: bool) -> tuple[tuple[str, int], ...]:
    """The hosts and ports of a list; without `several`, of one server. port: the default. Raises ValueError."""
    found = [_HOST.fullmatch(part) for part in (text.split(",") if several else [text])]
    if not all(found) or any(match and int(match[2] or 1) > 65_535 for match in found):
        raise ValueError(f"{text!r} is not {'HOST:PORT,HOST:PORT' if several else 'HOST or HOST:PORT'}")
    return tuple((match[1], int(match[2] or port)) for match in found if match)


def _check_database(text: str) -> None:
    if not re.fullmatch(r"\d{0,9}", text):
        raise ValueError(f"the database is a number, not {text!r}")
