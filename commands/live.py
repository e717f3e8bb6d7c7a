"""`mattebox serve`, and the two programs it is made of when they run apart: `web` and `worker`."""

import asyncio
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from stream import log
from stream.errors import UsageError, WeightsError
from stream.settings import Settings, settings

if TYPE_CHECKING:
    from stream.serve.supervise import Program
    from workers.live.worker import LiveWorker

Host = Annotated[str, typer.Option(help="Address to listen on. Beyond this machine tokens are demanded.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free one, which is then told.")]
Tls = Annotated[str, typer.Option(metavar="auto|off|CERT,KEY", help="auto: a certificate made here, self-signed.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; twice for everything.")]
Json = Annotated[bool, typer.Option("--json", help="Logs as JSON, one object a line.")]

_LOOPBACK = {"MATTEBOX_LOOPBACK_CANDIDATES": "true"}


def serve(
    host: Host = "127.0.0.1", port: Port = 8080, tls: Tls = "off", verbose: Verbose = 0, as_json: Json = False
) -> None:
    """Everything on this machine: the page, the API, workers, and a Redis of its own unless REDIS_URL is set."""
    from stream.serve import embedded
    from stream.serve.supervise import Program
    from web.http.guard import is_loopback
    from web.server import check_bind, check_free

    log.configure(verbose, as_json)
    chosen = settings()
    check_bind(chosen, host)
    port = check_free(host, port)
    url = chosen.redis_url or embedded.address(chosen.data_dir)
    env = {"REDIS_URL": url} | (_LOOPBACK if is_loopback(host) else {})
    common = ["-v"] * verbose + ["--json"] * as_json
    web = ["web", "--host", host, "--port", str(port), "--tls", tls, *common]
    programs = [  # ended from the last to the first: a file may take the time that is left
        Program("files", _mattebox("worker", "--for", "files", *common), env),
        Program(
            "worker", _mattebox("worker", "--for", "live", "--spare", *common), env, lambda: _works(url), spare=True
        ),
        Program("web", _mattebox(*web), env),
    ]
    if not chosen.redis_url:
        redis = embedded.command(chosen.data_dir)
        programs.insert(0, Program("redis", redis, ready=lambda: asyncio.to_thread(embedded.answers, chosen.data_dir)))
    _supervise(*programs)


def _supervise(*programs: "Program") -> None:
    from stream.serve.supervise import Refusal, Supervisor

    try:
        asyncio.run(Supervisor(programs).run())
    except Refusal:  # the program said why
        sys.exit(1)


def web(
    host: Host = "127.0.0.1", port: Port = 8080, tls: Tls = "off", verbose: Verbose = 0, as_json: Json = False
) -> None:
    """The page and the API alone. Needs REDIS_URL; as many as you like, for they keep nothing."""
    from stream.records.live_store import LiveStore
    from web.server import run

    log.configure(verbose, as_json)
    chosen = settings()
    run(chosen, LiveStore(_redis(chosen)), host, port, tls)


class For(StrEnum):
    """What a worker works on."""

    LIVE = "live"
    FILES = "files"
    ALL = "all"


def worker(
    what: Annotated[For, typer.Option("--for", help="live video, files, or a program for each.")] = For.ALL,
    spare: Annotated[bool, typer.Option("--spare", hidden=True, help="Load, then wait for a line on stdin.")] = False,
    verbose: Verbose = 0,
    as_json: Json = False,
) -> None:
    """A worker alone: takes live videos while it has room, and files one after the other, behind live video.

    Needs REDIS_URL; one for each GPU, on any machine.
    """
    log.configure(verbose, as_json)
    chosen = settings()
    match what:
        case For.LIVE:
            _live_worker(chosen, spare)
        case For.FILES:
            _file_worker(chosen)
        case For.ALL:
            _redis(chosen)
            _both(["-v"] * verbose + ["--json"] * as_json)


def _both(common: list[str]) -> None:
    """Two programs, so that a file that kills its worker ends no call."""
    from stream.serve.supervise import Program

    _supervise(*(Program(f"{one} worker", _mattebox("worker", "--for", one, *common)) for one in ("files", "live")))


def _file_worker(chosen: Settings) -> None:
    from stream.records.job_store import JobStore
    from stream.storage import open_storage
    from workers.files.worker import BEHIND, FileWorker

    os.nice(BEHIND)
    with asyncio.Runner() as runner:
        store = JobStore(_redis(chosen))
        runner.run(FileWorker(chosen, store, open_storage(chosen)).run_until_stopped())
        runner.run(store.close())


def _live_worker(chosen: Settings, spare: bool) -> None:
    from stream.records.live_store import LiveStore
    from stream.serve.supervise import wait_for_turn
    from workers.live.worker import LiveWorker

    with asyncio.Runner() as runner:
        store = LiveStore(_redis(chosen))
        live = LiveWorker(chosen, store)
        _warm(runner, live)
        if spare:
            _quietly(wait_for_turn)
        runner.run(live.run_until_stopped())
        runner.run(store.close())


def _warm(runner: asyncio.Runner, live: "LiveWorker") -> None:
    """Without weights there is nothing to serve, and to start again would not bring them."""
    from stream.serve.supervise import REFUSED

    try:
        runner.run(live.warm())
    except (WeightsError, UsageError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        sys.exit(REFUSED)


def _quietly(wait: Callable[[], None]) -> None:
    """A spare that is not needed any more ends without a word."""
    try:
        wait()
    except KeyboardInterrupt:
        sys.exit(0)


def _redis(chosen: Settings) -> str:
    if not chosen.redis_url:
        raise UsageError("REDIS_URL is not set; `mattebox serve` brings a Redis of its own")
    return chosen.redis_url


def _mattebox(*words: str) -> list[str]:
    return [sys.executable, "-m", "mattebox", *words]


async def _works(url: str) -> bool:
    """Is there a worker that takes offers?"""
    from stream.errors import StoreDown
    from stream.records.live_store import LiveStore

    store = LiveStore(url)
    try:
        return any(worker.state == "ready" for worker in await store.workers("live"))
    except StoreDown:
        return False
    finally:
        await store.close()
