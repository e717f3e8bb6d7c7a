"""`mattebox bench feed`: the delay and the processor time of a feed, compared with alternatives."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands import shared_options
from commands.bench_live import parse_size
from commands.messages import to_stderr
from commands.overwriting import check_saved

if TYPE_CHECKING:
    from workers.bench.feed import Row


def feed(
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the source's video.")] = "1280x720",
    seconds: Annotated[float, typer.Option(min=1, help="Duration of each measurement.")] = 10,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements of each kind; medians are reported.")] = 3,
    clip: Annotated[Path | None, typer.Option(help="Clip that the source sends; by default a generated scene.")] = None,
    save: shared_options.SaveRows = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
) -> None:
    """A feed from RTSP to RTSP: delay compared with a plain relay, CPU time of two outputs compared with one."""
    from stream.settings import settings
    from workers.bench.feed import bench_feed

    check_saved(save, overwrite)
    size_px = parse_size(size)
    rows = []
    if not as_json:
        print(_HEAD)
    for row in bench_feed(clip, size_px, seconds, repeats, settings(), to_stderr):
        rows.append(asdict(row))
        print(json.dumps(rows[-1]) if as_json else _line(row), flush=True)
    if save is not None:
        save.write_text(json.dumps(rows, indent=1))


_HEAD = f"{'measure':18} {'case':>10} {'baseline':>12}    case baseline  ratio  difference   fps  load"


def _line(row: "Row") -> str:
    values = f"{row.value:7.1f} {row.baseline_value:8.1f} {row.ratio:6.2f} {row.difference:+11.1f}"
    return f"{row.measure:18} {row.case:>10} {row.baseline:>12} {values} {row.fps:5.1f} {row.load:5.1f}"
