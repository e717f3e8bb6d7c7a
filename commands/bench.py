"""`mattebox bench`: what this machine reaches, by files, jobs, models, filters and live video."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from commands import bench_jobs, bench_live

app = typer.Typer(help="What this machine reaches.", no_args_is_help=True)
app.command("live")(bench_live.live)
app.command("jobs")(bench_jobs.jobs)
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")]


@app.command("file")
def file(
    clip: Annotated[Path | None, typer.Option(help="A clip to loop and scale; a generated one if not given.")] = None,
    frames: Annotated[int, typer.Option(min=100, help="Frames of each pass.")] = 240,
    repeats: Annotated[int, typer.Option(min=1, help="Passes; medians are told.")] = 3,
    as_json: Json = False,
) -> None:
    """Files through the pump, beside a plain loop that does the same steps in line."""
    from dataclasses import asdict

    from stream.settings import settings
    from workers.bench import file

    if not as_json:
        print("engine        size  loop fps pump fps ratio  cpu ms  busy peak MiB")
    for row in file.bench_file(clip, frames, repeats, settings(), _say):
        if as_json:
            print(json.dumps(asdict(row)), flush=True)
            continue
        ours = f"{row.pump.cpu_ms:6.1f} {row.pump.busy:5.0%} {row.pump.peak_mib:8.0f}"
        size = f"{row.width}x{row.height}"
        print(f"{row.engine:8} {size:>9}  {row.loop.fps:8.1f} {row.pump.fps:8.1f} {row.ratio:5.2f}  {ours}", flush=True)


@app.command("model")
def model(
    repeats: Annotated[int, typer.Option(min=1, help="Passes; medians are told.")] = 5,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Write the rows as JSON too.")] = None,
    as_json: Json = False,
) -> None:
    """BiRefNet alone on this device: milliseconds a frame and share of its matrix rate."""
    from dataclasses import asdict

    from stream.settings import settings
    from workers.bench import model

    rows = [asdict(row) for row in model.bench_model(settings(), repeats, _say)]
    if save is not None:
        save.write_text(json.dumps(rows, indent=1))
    if as_json:
        print(json.dumps(rows))
        return
    print("backbone  size batch dtype    form    ms/frame    fps  peak MiB TFLOP/s share")
    for row in rows:
        what = f"{row['backbone']:8} {row['side_px']:5} {row['batch']:5} {row['dtype']:8} {row['form']:5}"
        speed = f"{row['ms']:10.2f} {row['fps']:6.1f} {row['peak_mib']:9} {row['tflops']:7.3f} {row['share']:5.1%}"
        print(what, speed)


@app.command("temporal")
def temporal(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="A video.")],
    truth: Annotated[Path, typer.Option(metavar="ALPHA", help="Its true alpha, as eval reads it.")],
    engine: Annotated[str, typer.Option(metavar="NAME", help="Whose mattes to steady.")] = "selfie",
    save: Annotated[Path | None, typer.Option("--save", metavar="PNG", help="Draw MAD and dtSSD too.")] = None,
    as_json: Json = False,
) -> None:
    """Filters that steady mattes over time, against the truth: ours, moving averages, a median."""
    from dataclasses import asdict

    from stream.settings import settings
    from workers.bench.plot import draw
    from workers.bench.temporal import bench_temporal

    rows = bench_temporal(clip, truth, engine, settings(), _say)
    if save is not None:
        draw(rows, f"{engine} on {clip.name}", save)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print("filter          MAD    MSE   Grad  dtSSD  ms/frame  MAD/off dtSSD/off")
    for row in rows:
        figures = f"{row.mad:6.2f} {row.mse:6.2f} {row.grad:6.2f} {row.dtssd:6.2f} {row.ms:9.2f}"
        print(f"{row.filter:12} {figures} {row.mad_ratio:8.3f} {row.dtssd_ratio:9.3f}")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
