"""The forms of REDIS_URL."""

import pytest
from redis.asyncio.connection import parse_url

from stream.errors import UsageError
from stream.records import redis_address
from stream.records.redis_link import RedisLink

GROUP = (
    "redis+sentinel://ann:p%40ss@a:1,b,[::1]:3/mattes/2?sentinel_username=bob&sentinel_password=s%2Fc&ssl_ca_certs=f"
)


@pytest.mark.parametrize(
    ("url", "shown", "hosts"),
    [
        ("redis://", "redis://", (("localhost", 6379),)),
        ("redis://h", "redis://h", (("h", 6379),)),
        ("rediss://ann:secret@h:7/3?ssl_ca_certs=f", "rediss://h:7/3", (("h", 7),)),
        ("redis://:se@cret@h:7", "redis://h:7", (("h", 7),)),
        ("rediss://[::1]:7", "rediss://[::1]:7", (("[::1]", 7),)),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock", ()),
        ("unix://ann:secret@/run/redis.sock", "unix:///run/redis.sock", ()),
    ],
)
def test_one_server(url: str, shown: str, hosts: tuple[tuple[str, int], ...]) -> None:
    address = redis_address.parse(url)
    assert (address.shown, address.hosts, address.url) == (shown, hosts, url)
    assert (address.sentinels, address.master) == ((), "")
    assert address.tls is url.startswith("rediss")
    assert RedisLink(url).address == shown


def test_a_group_with_sentinel() -> None:
    address = redis_address.parse(GROUP)
    assert address.shown == "redis+sentinel://a:1,b,[::1]:3/mattes/2"
    assert address.hosts == (("a", 1), ("b", 26379), ("[::1]", 3))
    assert address.master == "mattes"
    server = parse_url(address.url)
    assert (server["username"], server["password"], server["db"]) == ("ann", "p@ss", 2)
    assert "ssl_ca_certs=f" in address.url
    assert "sentinel_password" not in address.url
    sentinels = [parse_url(url) for url in address.sentinels]
    assert [(found["host"], found["port"]) for found in sentinels] == [("a", 1), ("b", 26379), ("::1", 3)]
    assert {(found["username"], found["password"]) for found in sentinels} == {("bob", "s/c")}
    assert all("db" not in found for found in sentinels)


def test_a_group_over_tls() -> None:
    address = redis_address.parse("rediss+sentinel://a,b,c/mattes")
    assert address.tls
    assert all(url.startswith("rediss://") for url in (address.url, *address.sentinels))
    assert "db" not in parse_url(address.url)


@pytest.mark.parametrize("path", ["", "/", "/0"])
def test_a_cluster(path: str) -> None:
    url = f"rediss+cluster://ann:p%40ss@a:1,b,[::1]:3{path}?ssl_ca_certs=f"
    address = redis_address.parse(url)
    assert address.shown == f"rediss+cluster://a:1,b,[::1]:3{path}"
    assert address.hosts == (("a", 1), ("b", 6379), ("[::1]", 3))
    assert (address.cluster, address.tls, address.sentinels) == (True, True, ())
    server = dict(parse_url(address.url))
    assert (server["username"], server["password"], server["ssl_ca_certs"]) == ("ann", "p@ss", "f")
    assert "db" not in server
    assert RedisLink(url).address == address.shown


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("redis://h/3", "mattebox:"),
        ("redis+sentinel://a/m", "mattebox:"),
        ("redis+cluster://a,b", "{mattebox}:"),
        ("redis://h/3?prefix=cell-2", "cell-2:"),
        ("unix:///run/redis.sock?prefix=cell-2", "cell-2:"),
        ("redis+sentinel://a/m?prefix=cell-2", "cell-2:"),
        ("redis+cluster://a,b?prefix=cell-2", "{cell-2}:"),
        ("redis://h/3?prefix={mattebox}", "{mattebox}:"),
        ("redis://h/3?prefix=%7Bmattebox%7D", "{mattebox}:"),
        ("redis+cluster://a,b?prefix=all.{cell_2}", "all.{cell_2}:"),
    ],
)
def test_the_prefix_of_the_keys(url: str, prefix: str) -> None:
    link = RedisLink(url)
    assert link.keys.jobs == f"{prefix}jobs"
    assert "prefix" not in link.place.url


def test_the_other_options_are_kept_beside_a_prefix() -> None:
    address = redis_address.parse("rediss://h?ssl_ca_certs=a%20b&prefix=p&ssl_check_hostname=false")
    options = dict(parse_url(address.url))
    assert (options["ssl_ca_certs"], options["ssl_check_hostname"]) == ("a b", False)


@pytest.mark.parametrize("url", ["redis+sentinel://a/m", GROUP.replace("&ssl_ca_certs=f", ""), "rediss+sentinel://a/m"])
def test_a_link_to_a_group_needs_no_connection(url: str) -> None:
    assert RedisLink(url).address == redis_address.parse(url).shown


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("", "redis+sentinel://"),
        ("redis", "redis+sentinel://"),
        ("http://h", "redis+sentinel://"),
        ("sentinel://h/m", "redis+sentinel://"),
        ("/run/redis.sock", "redis+sentinel://"),
        ("redis://h:port", "HOST"),
        ("redis://h:99999", "HOST"),
        ("redis://a,b", "HOST"),
        ("redis://h/zero", "database"),
        ("redis://h/-1", "database"),
        ("redis://h?db=one", "db"),
        ("redis://h?nonsense=1", "unknown option 'nonsense'"),
        ("redis://h?ssl_ca_certs=f", "unknown option 'ssl_ca_certs'"),
        ("redis+sentinel://a,b", "name the master"),
        ("redis+sentinel:///mattes", "HOST"),
        ("redis+sentinel://a,,b/mattes", "HOST"),
        ("redis+sentinel://a:x/mattes", "HOST"),
        ("redis+sentinel://a/mattes/x", "database"),
        ("redis+sentinel://a/mattes?nonsense=1", "nonsense"),
        ("redis+cluster://", "HOST"),
        ("redis+cluster://a,,b", "HOST"),
        ("redis+cluster://a,b/1", "only the database 0"),
        ("redis+cluster://a,b/mattes", "only the database 0"),
        ("redis+cluster://a?nonsense=1", "nonsense"),
        ("redis://h?prefix=", "the prefix has"),
        ("redis://h?prefix=a b", "the prefix has"),
        ("redis://h?prefix=a:b", "the prefix has"),
        ("redis://h?prefix={a}{b}", "the prefix has"),
        ("redis://h?prefix={}a", "the prefix has"),
        ("redis://h?prefix=a{b", "the prefix has"),
        (f"redis://h?prefix={'a' * 65}", "the prefix has"),
    ],
)
def test_an_invalid_address_is_refused_in_one_line(url: str, part: str) -> None:
    with pytest.raises(UsageError, match="REDIS_URL") as caught:
        RedisLink(url.replace("://", "://ann:secret@"))
    assert part in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
