"""`mattebox serve`, and `mattebox web` and `mattebox worker`, which run its parts separately."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import shared_options
from stream import log
from stream.errors import UsageError, WeightsError
from stream.settings import Settings, settings

if TYPE_CHECKING:
    from stream.serve.supervise import Program
    from workers.live.worker import LiveWorker

Host = Annotated[str, typer.Option(help="Address to listen on. Any but loopback requires tokens.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free port, which is printed.")]
Tls = Annotated[
    str,
    typer.Option(
        metavar="auto|off|CERT,KEY", help="HTTPS: off, auto (generates a self-signed certificate) or your own CERT,KEY."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Log as JSON, one object per line.")]

_LOOPBACK = {"MATTEBOX_LOOPBACK_CANDIDATES": "true"}


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    tls: Tls = "off",
    verbose: shared_options.Verbose = 0,
    as_json: Json = False,
) -> None:
    """Run everything on this machine: the pages, the API, workers, and a Redis server unless REDIS_URL is set."""
    from stream.serve import redis_server
    from stream.serve.supervise import Program
    from web.http.guard import is_loopback
    from web.http.tls import check_tls
    from web.server import check_bind, check_free

    log.configure(verbose, as_json)
    chosen = settings()
    check_bind(chosen, host)
    check_tls(tls)
    port = check_free(host, port)
    if chosen.redis_url:
        _check_redis(chosen)
    url = chosen.redis_url or redis_server.address(chosen.data_dir)
    env = {"REDIS_URL": url} | (_LOOPBACK if is_loopback(host) else {})
    common = ["-v"] * verbose + ["--json"] * as_json
    web = ["web", "--host", host, "--port", str(port), "--tls", tls, *common]
    programs = [  # ended in reverse order, so that a running file task may use all time that the others leave
        Program("files", _mattebox("worker", "--for", "files", *common), env),
        Program(
            "worker",
            _mattebox("worker", "--for", "live", "--spare", *common),
            env,
            lambda: _has_ready_worker(url),
            spare=True,
        ),
        Program("web", _mattebox(*web), env),
    ]
    if not chosen.redis_url:
        redis = redis_server.command(chosen.data_dir)
        programs.insert(
            0, Program("redis", redis, ready=lambda: asyncio.to_thread(redis_server.answers, chosen.data_dir))
        )
    _supervise(chosen, *programs)


def _supervise(chosen: Settings, *programs: "Program") -> None:
    from stream.serve.supervise import Refusal, Supervisor

    try:
        asyncio.run(_guarded(chosen.redis_url, Supervisor(programs).run()))
    except Refusal:  # the program has printed the reason
        sys.exit(1)


def web(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    tls: Tls = "off",
    verbose: shared_options.Verbose = 0,
    as_json: Json = False,
) -> None:
    """Run only the pages and the API. Needs REDIS_URL. Stateless: run any number of them."""
    from stream.records.live_store import LiveStore
    from web.server import run

    log.configure(verbose, as_json)
    chosen = settings()
    _check_redis(chosen)
    run(chosen, LiveStore(chosen.redis_url), host, port, tls)


class For(StrEnum):
    """What a worker processes."""

    LIVE = "live"
    FILES = "files"
    ALL = "all"


def worker(
    kind: Annotated[For, typer.Option("--for", help="Live video, files, or both, in a process each.")] = For.ALL,
    spare: Annotated[
        bool, typer.Option("--spare", hidden=True, help="Load the engine, then wait for a line on stdin.")
    ] = False,
    verbose: shared_options.Verbose = 0,
    as_json: Json = False,
) -> None:
    """Run only a worker: for live videos, up to its capacity, and for files, one at a time and with lower priority.

    Needs REDIS_URL. Run one per GPU, on any machine.
    """
    log.configure(verbose, as_json)
    chosen = settings()
    _check_redis(chosen)
    match kind:
        case For.LIVE:
            _live_worker(chosen, spare)
        case For.FILES:
            _file_worker(chosen)
        case For.ALL:
            _both(chosen, ["-v"] * verbose + ["--json"] * as_json)


def _both(chosen: Settings, common: list[str]) -> None:
    """Two programs, so that a file that kills its worker does not end live video."""
    from stream.serve.supervise import Program

    programs = (Program(f"{kind} worker", _mattebox("worker", "--for", kind, *common)) for kind in ("files", "live"))
    _supervise(chosen, *programs)


def _file_worker(chosen: Settings) -> None:
    from stream.records.job_store import JobStore
    from stream.records.redis_check import guarded
    from stream.storage import open_storage
    from workers.files.worker import BEHIND, FileWorker

    os.nice(BEHIND)
    with asyncio.Runner() as runner:
        store = JobStore(chosen.redis_url)
        worker = FileWorker(chosen, store, open_storage(chosen))
        runner.run(guarded(store.link, worker.run_until_stopped()))
        runner.run(store.close())


def _live_worker(chosen: Settings, spare: bool) -> None:
    from stream.records.live_store import LiveStore
    from stream.records.redis_check import guarded
    from stream.serve.supervise import wait_for_turn
    from workers.live.worker import LiveWorker

    with asyncio.Runner() as runner:
        store = LiveStore(chosen.redis_url)
        live = LiveWorker(chosen, store)
        _warm(runner, live)
        if spare:
            _wait_quietly(wait_for_turn)
        runner.run(guarded(store.link, live.run_until_stopped()))
        runner.run(store.close())


def _warm(runner: asyncio.Runner, live: "LiveWorker") -> None:
    """Load the engine. Without weights, exit with a code that prevents a restart."""
    from stream.serve.supervise import REFUSED

    try:
        runner.run(live.warm())
    except (WeightsError, UsageError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        sys.exit(REFUSED)


def _wait_quietly(wait: Callable[[], None]) -> None:
    """An interrupted spare exits without a message."""
    try:
        wait()
    except KeyboardInterrupt:
        sys.exit(0)


def _check_redis(chosen: Settings) -> None:
    """Raises UsageError without a usable REDIS_URL, and ServerError if waiting for its server would be useless."""
    from stream.errors import StoreDown
    from stream.records.redis_check import check
    from stream.records.redis_link import RedisLink

    if not chosen.redis_url:
        raise UsageError("REDIS_URL is not set; only `mattebox serve` starts its own Redis server")

    async def check_now() -> None:
        link = RedisLink(chosen.redis_url)
        try:
            await check(link)
        except StoreDown:  # it may come: the programs wait for it
            pass
        finally:
            await link.close()

    asyncio.run(check_now())


async def _guarded(url: str, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends, or until the Redis at `url`, if one is given, turns out to be unusable."""
    from stream.records.redis_check import guarded
    from stream.records.redis_link import RedisLink

    if not url:
        return await work
    link = RedisLink(url)
    try:
        await guarded(link, work)
    finally:
        await link.close()


def _mattebox(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mattebox", *arguments]


async def _has_ready_worker(url: str) -> bool:
    """Whether a worker for live video is ready."""
    from stream.errors import StoreDown
    from stream.records.live_store import LiveStore

    store = LiveStore(url)
    try:
        return any(worker.state == "ready" for worker in await store.workers("live"))
    except StoreDown:
        return False
    finally:
        await store.close()
