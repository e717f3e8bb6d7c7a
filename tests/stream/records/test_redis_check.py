"""Set-ups that cannot work are told from servers that are not there yet. Those with Sentinel: `test_sentinel.py`, with
clusters: `test_redis_cluster.py`."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from stream.errors import ServerError, StoreDown
from stream.records.redis_check import check, guarded, set_up_problem
from stream.records.redis_link import RedisLink
from tests.refusals import REFUSALS
from tests.servers import RedisServer, asynctest, free_port, start_server
from tests.stream.records.live import live, new, stores
from tests.waiting import PATIENCE_S
from web.http.tls import certificate

CLUSTER = "it is a node of a Redis Cluster: write redis+cluster://"


async def outcome(url: str) -> str:
    """What `check` says: "" if the server can be used, "later" if waiting may help, else the line."""
    link = RedisLink(url)
    line = ""
    try:
        await check(link)
    except StoreDown:
        line = "later"
    except ServerError as exc:
        line = str(exc)
    await link.close()
    assert "secret" not in line
    assert "\n" not in line
    return line


@pytest.fixture(scope="module", params=["valkey", "redis"])
def locked(request: pytest.FixtureRequest) -> Iterator[str]:
    """HOST:PORT of a server with passwords. `bob` may use other keys only, `carol` has the permissions we ask for."""
    for server in start_server(request.param, over_tcp=True):
        with server.client() as raw:
            raw.execute_command("ACL", "SETUSER", "bob", "on", ">bob-secret", "~other:*", "+@all")
            raw.execute_command("ACL", "SETUSER", "dora", "on", ">dora-secret", "~*", "+@all", "-@scripting")
            raw.execute_command(
                "ACL", "SETUSER", "carol", "on", ">carol-secret", "~mattebox:*", "&mattebox:*", "+@all", "-@dangerous"
            )
            raw.config_set("requirepass", "a-secret")
        yield server.url.removeprefix("redis://")


@pytest.mark.parametrize(
    ("login", "path", "line"),
    [
        (":a-secret@", "", ""),
        ("carol:carol-secret@", "/3", ""),
        ("", "", "it requires a password: write redis://:PASSWORD@HOST"),
        (":b-secret@", "", "the user or the password is wrong"),
        ("nobody:a-secret@", "", "the user or the password is wrong"),
        ("bob:bob-secret@", "", "the user lacks permissions: it needs ~mattebox:*"),
        ("dora:dora-secret@", "", "the user lacks permissions: it needs ~mattebox:*"),
        (":a-secret@", "/99", "it has no database with that number"),
    ],
)
@asynctest
async def test_users_passwords_and_databases(locked: str, login: str, path: str, line: str) -> None:
    found = await outcome(f"redis://{login}{locked}{path}")
    assert (line in found) if line else found == ""


@asynctest
async def test_the_permissions_that_are_asked_for_are_enough(locked: str) -> None:
    server = type("Locked", (), {"url": f"redis://carol:carol-secret@{locked}"})
    async with stores(server, 2) as (web, worker):  # type: ignore[arg-type]
        session = await live(web, worker, new())
        await web.end(session.id, "bye")


@asynctest
async def test_a_password_for_a_server_without_one(own_server: RedisServer) -> None:
    if own_server.url.startswith("unix"):
        url = own_server.url.replace("unix://", "unix://:a-secret@")
    else:
        url = own_server.url.replace("redis://", "redis://:a-secret@")
    assert "a password is given, but the server requires none" in await outcome(url)


@pytest.mark.parametrize("kind", ["valkey", "redis"])
@pytest.mark.parametrize("path", ["", "/1"])
def test_a_cluster(kind: str, path: str) -> None:
    options = ["--appendonly", "no", "--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    for server in start_server(kind, *options, over_tcp=True):
        line = asyncio.run(outcome(server.url + path))
        assert CLUSTER in line or (path and "it has no database" in line)


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A port that requires TLS, and its certificate's file."""
    files = certificate("auto", tmp_path_factory.mktemp("certificate"), "127.0.0.1")
    assert files is not None
    port = free_port()
    options = ["--tls-cert-file", files.chain, "--tls-key-file", files.key, "--tls-ca-cert-file", files.chain]
    words = ["--tls-port", str(port), *map(str, options), "--tls-auth-clients", "no"]
    for _ in start_server("redis", *words, over_tcp=True):
        yield port, str(files.chain)


@pytest.mark.clocked  # a server without TLS does not answer
@asynctest
async def test_tls(over_tls: tuple[int, str], server: RedisServer) -> None:
    port, chain = over_tls
    assert await outcome(f"rediss://127.0.0.1:{port}?ssl_ca_certs={chain}") == ""
    assert "it requires TLS: write rediss" in await outcome(f"redis://127.0.0.1:{port}")
    assert "its TLS certificate is not trusted: add ?ssl_ca_certs=FILE" in await outcome(f"rediss://127.0.0.1:{port}")
    missing = await outcome(f"rediss://127.0.0.1:{port}?ssl_ca_certs={chain}.missing")
    assert "a file of its TLS options does not exist" in missing
    if server.url.startswith("redis://"):
        found = await outcome(server.url.replace("redis://", "rediss://"))
        assert "it does not use TLS: write redis" in found


def test_a_web_server() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            assert "it is not a Redis server" in asyncio.run(outcome(f"redis://127.0.0.1:{server.server_address[1]}"))
        finally:
            server.shutdown()
            thread.join()


@asynctest
async def test_servers_that_may_come_are_waited_for(tmp_path: Path) -> None:
    assert await outcome(f"redis://127.0.0.1:{free_port()}") == "later"
    assert await outcome(f"rediss://127.0.0.1:{free_port()}") == "later"
    assert await outcome(f"unix://{tmp_path}/none") == "later"
    assert await outcome(f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/mattes") == "later"
    assert await outcome(f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{free_port()}") == "later"


@pytest.mark.parametrize("kind", sorted(REFUSALS.keys() - {"password changed", "permissions changed", "paused"}))
@asynctest
async def test_refusals_that_may_pass_are_waited_for(own_server: RedisServer, kind: str) -> None:
    await asyncio.to_thread(REFUSALS[kind].begin, own_server)
    assert await outcome(own_server.url) == "later"


@pytest.mark.parametrize(
    ("hello", "problem"),
    [
        ({"server": "redis", "version": "7.0.0", "mode": "standalone"}, ""),
        ({"server": "valkey", "version": "8.1.0", "mode": "standalone"}, ""),
        ({"server": "redis", "version": "10.2.0", "mode": "standalone"}, ""),
        ({"server": "redis", "version": "6.2.14", "mode": "standalone"}, "redis 6.2.14 is too old"),
        ({"server": "valkey", "version": "7.2.5", "mode": "standalone"}, "valkey 7.2.5 is too old"),
        ({"server": "redis", "version": "7.2.0", "mode": "cluster"}, CLUSTER),
        ({}, ""),
    ],
)
def test_servers_as_they_describe_themselves(hello: dict[str, str], problem: str) -> None:
    found = set_up_problem(hello)
    assert (problem in found) if problem else found == ""


@pytest.mark.long
@asynctest
async def test_work_is_stopped_when_redis_comes_and_cannot_be_used() -> None:
    """The server starts only after the work."""
    port, ended = free_port(), asyncio.Event()
    link = RedisLink(f"redis://:wrong-secret@127.0.0.1:{port}")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    guard = asyncio.create_task(guarded(link, work()))
    await asyncio.sleep(0.1)
    assert not guard.done()
    for _ in start_server("valkey", "--port", str(port), "--requirepass", "another-secret"):
        with pytest.raises(ServerError, match="the user or the password is wrong"):
            await asyncio.wait_for(guard, PATIENCE_S)
    assert ended.is_set()
    await link.close()


@asynctest
async def test_guarded_work_ends_as_it_does_unguarded(server: RedisServer) -> None:
    link = RedisLink(server.url)

    async def succeed() -> None:
        await asyncio.sleep(0.05)

    async def fail() -> None:
        raise KeyError("odd")

    await guarded(link, succeed())
    with pytest.raises(KeyError):
        await guarded(link, fail())
    await link.close()
