"""`mattebox serve`, and `mattebox web` and `mattebox worker`, which run its parts separately."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import shared_options
from stream import log
from stream.errors import UsageError, WeightsError
from stream.settings import Settings, settings

if TYPE_CHECKING:
    from stream.serve.child import Program
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
_NO_DRAIN = {"MATTEBOX_DRAIN_S": "0"}  # without the web server, which ends too, nobody can end or view a video
_STOP_S = 15.0  # for programs to end after a signal

# Seconds without a sign of life after which a program is killed and replaced. A live worker must be replaced within the
# 10 s that an offer waits, so that no client sees an error; its event loop is never blocked for a second. Others may
# take longer: a file worker has low priority for the CPU, and a Redis server may pause for a slow disk.
_LIVE_SILENT_S, _FILES_SILENT_S, _WEB_SILENT_S, _REDIS_SILENT_S = 5.0, 15.0, 15.0, 60.0


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    tls: Tls = "off",
    verbose: shared_options.Verbose = 0,
    as_json: Json = False,
) -> None:
    """Run everything on this machine: the pages, the API, workers, and a Redis server unless REDIS_URL is set."""
    from stream.serve import descriptors, redis_server
    from stream.serve.child import Program
    from stream.serve.watch import Watch
    from web.http.guard import is_loopback
    from web.http.tls import check_tls
    from web.server import check_bind, check_free

    log.configure(verbose, as_json)
    chosen = settings()
    check_bind(chosen, host)
    check_tls(tls)
    _check_folders(chosen)
    descriptors.raise_limit()  # the programs inherit it
    port = check_free(host, port)
    if chosen.redis_url:
        _check_redis(chosen)
    url = chosen.redis_url or redis_server.address(chosen.data_dir)
    env = {"REDIS_URL": url} | _NO_DRAIN | (_LOOPBACK if is_loopback(host) else {})
    common = ["-v"] * verbose + ["--json"] * as_json
    web = ["web", "--host", host, "--port", str(port), "--tls", tls, *common]
    programs = [  # ended in reverse order, so that a running file task may use all time that the others leave
        Program("files", _mattebox("worker", "--for", "files", *common), env, watch=Watch(_FILES_SILENT_S)),
        Program(
            "worker",
            _mattebox("worker", "--for", "live", "--spare", *common),
            env,
            lambda: _has_ready_worker(url),
            spare=True,
            watch=Watch(_LIVE_SILENT_S),
        ),
        Program("web", _mattebox(*web), env, watch=Watch(_WEB_SILENT_S)),
    ]
    if not chosen.redis_url:
        programs.insert(0, _embedded_redis(chosen))
    _supervise(chosen, programs)


def _embedded_redis(chosen: Settings) -> "Program":
    from stream.serve import redis_server
    from stream.serve.child import Program
    from stream.serve.watch import Watch

    folder = chosen.data_dir
    return Program(
        "redis",
        redis_server.command(folder),
        ready=lambda: asyncio.to_thread(redis_server.answers, folder),
        watch=Watch(_REDIS_SILENT_S, lambda: asyncio.to_thread(redis_server.responds, folder)),
    )


def _supervise(chosen: Settings, programs: Sequence["Program"], stop_s: float | None = _STOP_S) -> None:
    from stream.serve.supervise import Refusal, Supervisor

    try:
        supervisor = Supervisor(programs, stop_s, health_file=_health_file(chosen))
        asyncio.run(_guarded(chosen.redis_url, supervisor.run()))
    except Refusal:  # the program has printed the reason
        sys.exit(1)


def _health_file(chosen: Settings) -> Path | None:
    """The health file, removed: one of an earlier run says nothing about this one. Raises UsageError if its folder
    cannot be written."""
    file = chosen.health_file
    try:
        if file is not None:
            file.touch()
            file.unlink()
    except OSError as exc:
        raise UsageError(f"MATTEBOX_HEALTH_FILE={file}: {exc.strerror}") from None
    return file


def web(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    tls: Tls = "off",
    verbose: shared_options.Verbose = 0,
    as_json: Json = False,
) -> None:
    """Run only the pages and the API. Needs REDIS_URL. Run as many of them as needed."""
    from stream.records.live_store import LiveStore
    from stream.serve import descriptors
    from web.server import run

    log.configure(verbose, as_json)
    chosen = settings()
    _check_redis(chosen)
    descriptors.raise_limit()
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
    from stream.serve import descriptors
    from stream.supervised import is_supervised

    log.configure(verbose, as_json)
    chosen = settings()
    descriptors.raise_limit()
    _check_redis(chosen)
    if kind is not For.LIVE:
        _check_folders(chosen)
    if spare or (is_supervised() and kind is not For.ALL):
        (_live_worker if kind is For.LIVE else _file_worker)(chosen, spare)
    else:
        _supervised_workers(chosen, kind, ["-v"] * verbose + ["--json"] * as_json)


def _supervised_workers(chosen: Settings, kind: For, common: list[str]) -> None:
    """A process for each kind, so that a file that kills its worker does not end live video; one that hangs is
    replaced. Only a live worker must end soon after a signal: a file worker completes its task first."""
    from stream.serve.child import Program
    from stream.serve.watch import Watch

    watches = {For.FILES: Watch(_FILES_SILENT_S), For.LIVE: Watch(_LIVE_SILENT_S)}
    programs = [
        Program(f"{each} worker", _mattebox("worker", "--for", each, *common), watch=watch)
        for each, watch in watches.items()
        if kind in (each, For.ALL)
    ]
    _supervise(chosen, programs, None if kind is For.FILES else _STOP_S + chosen.drain_s)


def _file_worker(chosen: Settings, _spare: bool) -> None:
    from stream.records.job_store import JobStore
    from stream.records.redis_check import guarded
    from stream.serve.heartbeat import beating
    from stream.storage import open_storage
    from workers.files.worker import BEHIND, FileWorker

    async def run() -> None:
        store = JobStore(chosen.redis_url)
        async with beating():
            worker = FileWorker(chosen, store, open_storage(chosen))
            await guarded(store.link, worker.run_until_stopped())
            await store.close()

    os.nice(BEHIND)
    asyncio.run(run())


def _live_worker(chosen: Settings, spare: bool) -> None:
    from stream.records.live_store import LiveStore
    from stream.records.redis_check import guarded
    from stream.serve.child import wait_for_turn
    from stream.serve.heartbeat import beating
    from workers.live.worker import LiveWorker

    async def run() -> None:
        store = LiveStore(chosen.redis_url)
        live = LiveWorker(chosen, store)
        async with beating(live.health):
            await _warm(live)
            if spare:
                await wait_for_turn()
            await guarded(store.link, live.run_until_stopped())
            await store.close()

    asyncio.run(run())


async def _warm(live: "LiveWorker") -> None:
    """Load the engine. Without weights, exit with a code that prevents a restart."""
    from stream.serve.child import REFUSED

    try:
        await live.warm()
    except (WeightsError, UsageError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        sys.exit(REFUSED)


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


def _check_folders(chosen: Settings) -> None:
    """Raises DiskError where the data folder or the storage folder cannot be written to."""
    from stream import private
    from stream.storage import open_storage

    private.check_folder(chosen.data_dir)
    open_storage(chosen).check()


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
