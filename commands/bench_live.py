"""`mattebox bench live`: benchmarks a running server, or one that it starts itself."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands import shared_options
from commands.messages import to_stderr
from commands.overwriting import check_saved
from stream.errors import ServerError, UsageError
from stream.records import http_paths
from stream.records.engines import names

if TYPE_CHECKING:
    from workers.bench.live import Row


def live(
    url: Annotated[str, typer.Argument(help="Address of a running server; by default one is started.")] = "",
    videos: Annotated[str, typer.Option(metavar="N,N", help="Numbers of simultaneous videos.")] = "1,4,8",
    size: Annotated[str, typer.Option(metavar="WxH,WxH", help="Sizes of the cameras' video.")] = "640x480,1280x720",
    engine: Annotated[str, typer.Option(metavar="NAME", help=f"The engine: {', '.join(names())}.")] = "auto",
    seconds: Annotated[float, typer.Option(min=2, help="Duration of each measurement.")] = 20,
    clip: Annotated[Path | None, typer.Option(help="Clip that the cameras send; by default a generated scene.")] = None,
    token: Annotated[str, typer.Option(envvar="MATTEBOX_TOKEN", help="Your token, if the server has users.")] = "",
    save: shared_options.SaveRows = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
) -> None:
    """Simulated cameras over WebRTC: frame rate, glass-to-glass latency and CPU time, with and without a matte."""
    from commands.client import Remote
    from stream.settings import settings
    from workers.bench.live import bench_live

    check_saved(save, overwrite)
    if url:
        Remote(url, token, settings()).ask("GET", http_paths.OPTIONS)
    sizes = _sizes(size)
    counts = [int(number) for number in listed(videos)]
    rows = []
    if not as_json:
        print(_HEAD)
    with contextlib.nullcontext(url) if url else _started() as at:
        for row in bench_live(at, counts, sizes, engine, seconds, token, to_stderr, clip, settings()):
            rows.append(asdict(row))
            print(json.dumps(rows[-1]) if as_json else _line(row), flush=True)
    if save is not None:
        save.write_text(json.dumps(rows, indent=1))


def listed(text: str, separator: str = "") -> list[str]:
    """Split a comma-separated list of numbers, or of pairs of numbers. Raises UsageError."""
    parts = text.split(",")
    if not all(
        piece.isdecimal() and int(piece) for part in parts for piece in (part.split(separator) if separator else [part])
    ):
        raise UsageError(f"{text!r} is not a list such as {'640x480,1280x720' if separator else '1,4,8'}")
    return parts


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from `1280x720`. Raises UsageError."""
    sizes = _sizes(text)
    if len(sizes) != 1:
        raise UsageError(f"{text!r} is not one size, such as 1280x720")
    return sizes[0]


def _sizes(text: str) -> list[tuple[int, int]]:
    return [(int(width), int(height)) for width, _, height in (pair.partition("x") for pair in listed(text, "x"))]


_HEAD = "engine        size videos  fps in out   age p50 p95 p99 grows  cpu ms  MiB  wait late  load  dropped"


def _line(row: "Row") -> str:
    ages = row.age_ms
    rates = f"{row.engine:8} {f'{row.width}x{row.height}':>9} {row.videos:6} {row.fps_in:7.1f} {row.fps_out:4.1f}"
    late = f"{ages.p50:8.0f} {ages.p95:3.0f} {ages.p99:3.0f} {row.growth_ms:5.0f}"
    cost = f"{row.cpu_ms:7.1f} {max(row.rss_mib):5} {row.wait_ms:5.1f} {row.late_ms:4.1f} {row.load:5.1f}"
    return f"{rates}  {late} {cost}  {row.dropped or ''}"


@contextmanager
def _started() -> Iterator[str]:
    """Start a `mattebox serve` that accepts any number of videos. Yields its URL."""
    with tempfile.TemporaryDirectory(prefix="mattebox-bench-") as folder:
        env = os.environ | {"MATTEBOX_DATA_DIR": folder, "MATTEBOX_LIVE_SESSIONS": "64", "REDIS_URL": ""}
        argv = [sys.executable, "-m", "mattebox", "serve", "--port", "0"]
        process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if "http" not in line:
                raise ServerError("the server did not start")
            yield line.split()[-1]
        finally:
            process.terminate()
            process.wait(20)
