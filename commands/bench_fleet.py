"""`mattebox bench fleet`: what a large installation costs Redis, with simulated workers."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from commands import shared_options
from commands.bench_live import listed
from commands.messages import to_stderr
from commands.overwriting import check_saved

if TYPE_CHECKING:
    from workers.bench.fleet.measure import Row

_HEAD = "operation     workers sessions  tasks owners  calls/s  p50 ms  p99 ms  Redis us  commands  ratio  cores   MiB"


def fleet(
    workers: Annotated[
        str, typer.Option(metavar="N,N", help="Numbers of workers; the first is the baseline.")
    ] = "200,2000",
    sessions: Annotated[int, typer.Option(min=1, help="Live sessions per worker.")] = 10,
    tasks: Annotated[int, typer.Option(min=5, help="Waiting tasks per worker.")] = 50,
    calls: Annotated[int, typer.Option(min=1, help="Calls of each kind in a round.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of these calls.")] = 5,
    save: shared_options.SaveRows = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
) -> None:
    """Cost of leases, offers and tasks in Redis with many simulated workers, which process no video. Starts a Redis
    server of its own."""
    import asyncio

    from workers.bench.fleet.measure import bench_fleet
    from workers.bench.fleet.population import Size

    sizes = [Size(int(number), sessions=sessions, tasks=tasks) for number in listed(workers)]
    check_saved(save, overwrite)
    rows = []

    async def run() -> None:
        async for row in bench_fleet(sizes, calls, rounds, to_stderr):
            rows.append(asdict(row))
            print(json.dumps(rows[-1]) if as_json else _line(row), flush=True)

    if not as_json:
        print(_HEAD)
    asyncio.run(run())
    if save is not None:
        save.write_text(json.dumps(rows, indent=1))


def _line(row: "Row") -> str:
    size = f"{row.workers:7} {row.sessions:8} {row.tasks:6} {row.owners:6}"
    times = f"{row.per_s:8.0f} {row.p50_ms:7.2f} {row.p99_ms:7.2f}"
    cost = f"{row.cpu_us:9.1f} {row.commands:9.1f} {row.ratio:6.2f} {row.cores:6.3f} {row.memory_mib:5.0f}"
    return f"{row.operation:13} {size} {times} {cost}"
