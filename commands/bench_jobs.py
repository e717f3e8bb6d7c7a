"""`mattebox bench jobs`: files through the queue, by workers that are started for it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.bench_live import listed
from stream.records.engines import ENGINES

if TYPE_CHECKING:
    from workers.bench.jobs import Row


def jobs(
    workers: Annotated[
        str, typer.Option(metavar="N,N", help="Numbers of workers; the first is compared with.")
    ] = "1,2,4",
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the film.")] = "640x480",
    engine: Annotated[str, typer.Option(metavar="NAME", help=f"{', '.join(ENGINES)}.")] = "rvm",
    frames: Annotated[int, typer.Option(min=100, help="Length of the film; 1800 is a minute.")] = 1800,
    clip: Annotated[Path | None, typer.Option(help="What the film repeats; a generated scene if not given.")] = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Write the rows as JSON too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")] = False,
) -> None:
    """Files through the queue: several workers with a core each, beside one and beside `mattebox file`."""
    import asyncio

    from stream.settings import settings
    from workers.bench.jobs import bench_jobs

    ((width, _, height),) = (one.partition("x") for one in listed(size, "x"))
    counts = [int(number) for number in listed(workers)]
    rows = []

    async def run() -> None:
        async for row in bench_jobs(clip, engine, frames, (int(width), int(height)), counts, settings(), _say):
            rows.append(asdict(row))
            print(json.dumps(rows[-1]) if as_json else _line(row), flush=True)

    if not as_json:
        print("engine    workers  seconds  cpu s    fps  of one  over `file`  matted twice")
    asyncio.run(run())
    if save is not None:
        save.write_text(json.dumps(rows, indent=1))


def _line(row: "Row") -> str:
    who = "file" if row.workers == 0 else str(row.workers)
    ratios = f"{row.ratio:7.2f} {row.overhead:12.1%} {row.twice:13.1%}" if row.workers else ""
    return f"{row.engine:8} {who:>8} {row.seconds:8.1f} {row.cpu_s:6.1f} {row.fps:6.1f} {ratios}"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
