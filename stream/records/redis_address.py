"""Addresses of Redis, as REDIS_URL gives them. Does not import a Redis client and opens no connection.

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]      one server
    rediss://…                                    the same over TLS
    unix:///PATH[?db=DB]                          one server on a unix socket
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]…/MASTER[/DB]
                                                  the current master of a group that Redis Sentinel watches
    rediss+sentinel://…                           the same over TLS, to the sentinels too
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]…
                                                  a Redis Cluster; some of its nodes
    rediss+cluster://…                            the same over TLS

Options follow after `?`, as `ssl_ca_certs=FILE`. With Sentinel, USER and PASSWORD are those of the master;
`sentinel_username` and `sentinel_password` are options for sentinels that require a login too. `prefix=NAME` replaces
`mattebox` at the beginning of all keys. In a cluster the name is a hash tag, in braces. Elsewhere it is used as it is:
there the keys of a running installation must not change their names.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, urlencode

from stream.errors import UsageError
from stream.records.redis_keys import PREFIX

_PORT, _SENTINEL_PORT = 6379, 26379
_SENTINEL = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
_CLUSTER = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_SCHEMES = ("redis", "rediss", "unix", *_SENTINEL, *_CLUSTER)
_CREDENTIALS = ("sentinel_username", "sentinel_password")
_NO_HOST = "master"  # stands for the master's host, which the sentinels or the nodes of the cluster know
_PREFIX_MOST = 64
_PREFIX = re.compile(r"[\w.-]*(\{[\w.-]+\})?[\w.-]*", re.ASCII)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:,\[\]@/\s]+)(?::(\d{1,5}))?")


@dataclass(frozen=True)
class RedisAddress:
    """shown: the address without user, password and options, for messages. url: of the server, in the client's syntax.

    hosts: (host, port) of the server, of the sentinels or of nodes of the cluster; empty for a unix socket. sentinels:
    their URLs, in the client's syntax; empty without Sentinel. master: the name of the group that they watch. cluster:
    whether it is a Redis Cluster. prefix: of all keys. With Sentinel and in a cluster, the host and port of `url` are
    meaningless: the sentinels or the nodes know them.
    """

    shown: str
    url: str
    hosts: tuple[tuple[str, int], ...] = ()
    sentinels: tuple[str, ...] = ()
    master: str = ""
    cluster: bool = False
    prefix: str = PREFIX

    @property
    def tls(self) -> bool:
        return self.shown.startswith("rediss")


def parse(url: str) -> RedisAddress:
    """Raises UsageError."""
    scheme, _, rest = url.partition("://")
    shown = f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
    try:
        if scheme not in _SCHEMES or not url.startswith(f"{scheme}://"):
            raise ValueError(f"write it as {', '.join(f'{name}://' for name in _SCHEMES)}…")
        url, name = _without_prefix(url)
        address = _address(shown, scheme, url.partition("://")[2])
        return replace(address, prefix=_prefix(name, address.cluster))
    except ValueError as exc:
        raise UsageError(f"REDIS_URL={shown!r}: {exc}") from None


def _address(shown: str, scheme: str, rest: str) -> RedisAddress:
    """rest: what follows after the scheme, without the option for the prefix."""
    whole, _, options = rest.partition("?")
    user, _, place = whole.rpartition("@")
    if scheme == "unix":
        return RedisAddress(shown, f"{scheme}://{rest}")
    if scheme in _SENTINEL:
        return _with_sentinel(shown, _SENTINEL[scheme], user, place, options)
    if scheme in _CLUSTER:
        return _with_cluster(shown, _CLUSTER[scheme], user, place, options)
    host, _, database = place.partition("/")
    _check_database(database)
    return RedisAddress(shown, f"{scheme}://{rest}", _hosts(host or "localhost", _PORT, several=False))


def _without_prefix(url: str) -> tuple[str, str]:
    """The URL without the option `prefix`, and the value of that, "" if there is none. Any other URL is unchanged."""
    whole, _, options = url.partition("?")
    pairs = parse_qsl(options, keep_blank_values=True)
    names = [value for name, value in pairs if name == "prefix"]
    if not names:
        return url, ""
    others = urlencode([(name, value) for name, value in pairs if name != "prefix"])
    if not names[-1] or len(names[-1]) > _PREFIX_MOST or not _PREFIX.fullmatch(names[-1]):
        raise ValueError(
            f"the prefix has 1 to {_PREFIX_MOST} letters, digits, dots, hyphens and underscores, one part of which may "
            "be in braces"
        )
    return f"{whole}?{others}" if others else whole, names[-1]


def _prefix(name: str, cluster: bool) -> str:
    """The prefix of all keys. A name that has braces already is a hash tag."""
    name = name or PREFIX.removesuffix(":")
    return f"{{{name}}}:" if cluster and "{" not in name else f"{name}:"


def _with_cluster(shown: str, scheme: str, user: str, place: str, options: str) -> RedisAddress:
    hosts, _, database = place.partition("/")
    if database not in ("", "0"):
        raise ValueError("a cluster has only the database 0")
    url = f"{scheme}://{user}{'@' if user else ''}{_NO_HOST}?{options}"
    return RedisAddress(shown, url, _hosts(hosts, _PORT, several=True), cluster=True)


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
