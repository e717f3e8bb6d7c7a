"""Redis Cluster: three real nodes. One of them has all keys, and every script runs there."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha1
from pathlib import Path

import pytest

from stream.errors import ServerError, StoreDown
from stream.records import scripts
from stream.records.job_store import JobStore, JobTask
from stream.records.live_store import LiveStore
from stream.records.redis_check import check
from stream.records.redis_cluster import shard
from stream.records.redis_link import RedisLink
from tests.redis_cluster import CLUSTER_KEYS, SLOTS, Cluster, start_cluster
from tests.servers import asynctest, free_port, start_server
from tests.stream.records.every_script import names, use_every_script
from tests.stream.records.jobs import new_job, planned, taken
from tests.stream.records.live import connecting, live, new
from tests.waiting import PATIENCE_S, until
from web.http.tls import certificate

LIMIT_S = 15.0  # of a failover


@pytest.fixture(scope="module", params=["valkey", "redis"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    yield from start_cluster(request.param)


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[LiveStore]:
    """A store of a cluster without records."""
    await asyncio.to_thread(cluster.command, cluster.owner(), "FLUSHALL")
    store = LiveStore(cluster.url)
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.long
@asynctest
async def test_every_script_runs_in_a_cluster(cluster: Cluster) -> None:
    async with connected(cluster) as store:
        with cluster.client(cluster.owner()) as raw:
            raw.script_flush()
            await use_every_script(store.link, raw)
            assert len(names()) > 50
            known = raw.script_exists(*(sha1(scripts.script(name).encode()).hexdigest() for name in names()))
            assert [name for name, ran in zip(names(), known, strict=True) if not ran] == []
            assert all(key.startswith(CLUSTER_KEYS.prefix) for key in raw.scan_iter())


@asynctest
async def test_calls_fail_while_the_slot_is_moved_and_no_record_is_split(cluster: Cluster) -> None:
    """A script that ran on the new node would see only the records that were moved already."""
    async with connected(cluster) as store:
        jobs = JobStore(store.link)
        job = await planned(jobs, 3)
        source = cluster.owner()
        target = next(port for port in cluster.living() if port != source)
        for step in cluster.move_slot(target):
            if step != "moved":
                for call in (jobs.submit(new_job()), jobs.take_task("w1", 0), store.reap()):
                    with pytest.raises(StoreDown, match="ASK "):
                        await call
                assert not await store.ping()
        assert cluster.owner() == target
        assert [(await taken(jobs, f"w{n}")).name for n in range(3)] == ["0000", "0001", "0002"]
        assert [found.id for found in await jobs.summaries()] == [job.id]
        assert await store.ping()


@pytest.mark.slow
@asynctest
async def test_waiting_calls_follow_a_replica_that_is_promoted(cluster: Cluster) -> None:
    async with connected(cluster) as store:
        jobs = JobStore(store.link)
        session = await live(store, store, new())
        replica = cluster.add_replica(cluster.owner())
        waits = [asyncio.create_task(next_task(jobs, f"w{n}")) for n in range(3)]
        await asyncio.gather(*(store.ping() for _ in range(8)))  # several connections to the old master
        await asyncio.to_thread(cluster.promote, replica)
        for _ in waits:
            await jobs.submit(new_job())
        tasks = await asyncio.gather(*waits)
        assert len({task.job.id for task in tasks}) == 3
        assert await store.renew([session]) == set()
        assert await store.session(session.id) == session


async def next_task(jobs: JobStore, worker: str) -> JobTask:
    """As a worker that waits. Some servers end the wait with an error when they become replicas."""
    while True:
        with contextlib.suppress(StoreDown):
            if task := await jobs.take_task(worker, PATIENCE_S):
                return task


@asynctest
async def test_a_node_that_is_no_master_of_the_slot_finds_it(cluster: Cluster) -> None:
    for port in cluster.living():
        link = RedisLink(f"redis+cluster://127.0.0.1:{port}")
        try:
            assert await link.ping()
        finally:
            await link.close()


@asynctest
async def test_installations_with_different_prefixes_share_a_cluster(cluster: Cluster) -> None:
    async with connected(cluster) as store:
        others = [JobStore(f"{cluster.url}?prefix={name}") for name in ("a", "b", "c", "cell-{d}")]
        try:
            for other in others:
                await other.submit(new_job())
            assert [len(await other.summaries()) for other in others] == [1] * 4
            assert await JobStore(store.link).summaries() == []
        finally:
            for other in others:
                await other.close()
        slots = {cluster.command(cluster.owner(), "CLUSTER", "KEYSLOT", other.link.keys.jobs) for other in others}
        assert len(slots) == 4


async def problem(url: str) -> str:
    """What `check` says; "" if the server can be used."""
    link, line = RedisLink(url), ""
    try:
        await check(link)
    except ServerError as exc:
        line = str(exc)
    finally:
        await link.close()
    assert "secret" not in line
    assert "\n" not in line
    return line


@asynctest
async def test_a_cluster_that_is_addressed_as_one_server_is_refused(cluster: Cluster) -> None:
    assert await problem(cluster.url) == ""
    for port in cluster.living():
        assert "write redis+cluster://HOST:PORT" in await problem(f"redis://127.0.0.1:{port}")


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_server_that_is_addressed_as_a_cluster_is_refused(kind: str) -> None:
    for server in start_server(kind, over_tcp=True):
        line = asyncio.run(problem(server.url.replace("redis://", "redis+cluster://")))
        assert "it is not in cluster mode: write redis://HOST:PORT" in line


@pytest.mark.long
@pytest.mark.clocked  # a node without TLS does not answer
@asynctest
async def test_a_cluster_without_tls(cluster: Cluster) -> None:
    assert "it does not use TLS: write redis" in await problem(cluster.url.replace("redis+", "rediss+"))


@asynctest
async def test_users_and_passwords_of_a_cluster(cluster: Cluster) -> None:
    for port in cluster.living():
        words = ("on", ">a-secret", "~{mattebox}:*", "&{mattebox}:*", "+@all", "-@dangerous")
        cluster.command(port, "ACL", "SETUSER", "carol", *words)
        cluster.command(port, "ACL", "SETUSER", "bob", "on", ">a-secret", "~other:*", "+@all")
    hosts = cluster.url.removeprefix("redis+cluster://")
    assert await problem(f"redis+cluster://carol:a-secret@{hosts}") == ""
    assert "needs ~{mattebox}:* &{mattebox}:* +@all -@dangerous" in await problem(
        f"redis+cluster://bob:a-secret@{hosts}"
    )
    assert "the user or the password is wrong" in await problem(f"redis+cluster://carol:b-secret@{hosts}")


@pytest.mark.long
@asynctest
async def test_a_cluster_over_tls(tmp_path: Path) -> None:
    """A cluster of one node, whose reply to CLUSTER SLOTS has its port for TLS."""
    pair = certificate("auto", tmp_path, "127.0.0.1")
    assert pair is not None
    port = free_port()
    words = ["--tls-port", str(port), "--tls-cert-file", str(pair.chain), "--tls-key-file", str(pair.key)]
    words += ["--tls-ca-cert-file", str(pair.chain), "--tls-auth-clients", "no", "--appendonly", "no"]
    words += ["--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--tls-cluster", "yes"]
    for server in start_server("redis", *words, over_tcp=True):
        with server.client() as raw:
            raw.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
            until(lambda: "cluster_state:ok" in str(raw.execute_command("CLUSTER", "INFO")), "it serves all slots")
        url = f"rediss+cluster://127.0.0.1:{port}"
        assert await problem(f"{url}?ssl_ca_certs={pair.chain}") == ""
        assert "its TLS certificate is not trusted" in await problem(url)
        assert "it requires TLS: write rediss" in await problem(f"redis+cluster://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("slots", "found"),
    [
        ([[0, 9, ["a", 1, "id", []], ["b", 2, "id", []]], [10, 20, ["c", 3, "id", []]]], (("a", 1), ("b", 2))),
        (
            [[6, 9, ["c", 3, "id"]], [0, 5, [None, 1, "id"], ["", 2, "id"], ["?", 4, "id"]]],
            tuple(("h", n) for n in (1, 2, 4)),
        ),
        ([[6, 9, ["c", 3, "id"]]], ()),
        ([], ()),
    ],
)
def test_the_nodes_of_a_slot(slots: list[object], found: tuple[tuple[str, int], ...]) -> None:
    assert shard(slots, 5, ("h", 9)) == found


@pytest.fixture(scope="module")
def failing() -> Iterator[Cluster]:
    yield from start_cluster("valkey", "a-secret", node_timeout_ms=1000)


@pytest.mark.slow
@pytest.mark.clocked
@asynctest
async def test_the_service_goes_on_after_its_node_was_killed_or_hangs(failing: Cluster) -> None:
    store = LiveStore(failing.url)
    session = await live(store, store, new())
    for fail in (failing.freeze, failing.kill):
        old = failing.owner()
        failing.add_replica(old)
        fail(old)
        began_s = time.monotonic()
        while True:
            try:
                await connecting(store, store, new())
                break
            except (StoreDown, AssertionError):
                assert time.monotonic() - began_s < LIMIT_S
                await asyncio.sleep(0.1)
        print(f"a new session after {time.monotonic() - began_s:.1f} s")
        assert await store.renew([session]) == set()
        failing.thaw(old)
    await store.close()


@pytest.mark.clocked
@asynctest
async def test_a_node_that_hangs_causes_no_delay(failing: Cluster) -> None:
    frozen = next(port for port in failing.living() if port != failing.owner())
    failing.nodes[frozen].send_signal(signal.SIGSTOP)
    try:
        store = LiveStore(failing.url)
        began_s = time.monotonic()
        assert await store.ping()
        assert time.monotonic() - began_s < 0.4
        await store.close()
    finally:
        failing.thaw(frozen)
