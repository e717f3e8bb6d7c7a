"""`mattebox bench jobs`: the speed of jobs with several workers, which it starts itself."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands import shared_options
from commands.bench_live import listed, parse_size
from commands.messages import to_stderr
from commands.overwriting import check_saved
from stream.records.engines import ENGINES

if TYPE_CHECKING:
    from workers.bench.jobs import Row


def jobs(
    workers: Annotated[
        str, typer.Option(metavar="N,N", help="Numbers of workers; the first is the baseline.")
    ] = "1,2,4",
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the video.")] = "640x480",
    engine: Annotated[str, typer.Option(metavar="NAME", help=f"The engine: {', '.join(ENGINES)}.")] = "rvm",
    frames: Annotated[int, typer.Option(min=100, help="Length of the video; 1800 is a minute.")] = 1800,
    clip: Annotated[
        Path | None, typer.Option(help="Clip that the video repeats; by default a generated scene.")
    ] = None,
    save: shared_options.SaveRows = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
) -> None:
    """Speed of jobs with several workers, one core each, compared with one worker and with `mattebox file`."""
    import asyncio

    from stream.settings import settings
    from workers.bench.jobs import bench_jobs

    size_px = parse_size(size)
    counts = [int(number) for number in listed(workers)]
    check_saved(save, overwrite)
    rows = []

    async def run() -> None:
        async for row in bench_jobs(clip, engine, frames, size_px, counts, settings(), to_stderr):
            rows.append(asdict(row))
            print(json.dumps(rows[-1]) if as_json else _line(row), flush=True)

    if not as_json:
        print("engine    workers  seconds  cpu s    fps  of one  over `file`  matted twice")
    asyncio.run(run())
    if save is not None:
        save.write_text(json.dumps(rows, indent=1))


def _line(row: "Row") -> str:
    workers = "file" if row.workers == 0 else str(row.workers)
    ratios = f"{row.ratio:7.2f} {row.overhead:12.1%} {row.twice:13.1%}" if row.workers else ""
    return f"{row.engine:8} {workers:>8} {row.seconds:8.1f} {row.cpu_s:6.1f} {row.fps:6.1f} {ratios}"
