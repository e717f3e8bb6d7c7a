"""`mattebox bench`: benchmarks of files, jobs, models, temporal smoothing, live video, feeds and large fleets."""

import json
from pathlib import Path
from typing import Annotated

import typer

from commands import bench_feed, bench_fleet, bench_jobs, bench_live, shared_options
from commands.messages import to_stderr
from commands.overwriting import check_saved

app = typer.Typer(help="Benchmarks of this machine.", no_args_is_help=True)
app.command("live")(bench_live.live)
app.command("feed")(bench_feed.feed)
app.command("jobs")(bench_jobs.jobs)
app.command("fleet")(bench_fleet.fleet)


@app.command("file")
def file(
    clip: Annotated[Path | None, typer.Option(help="Clip to loop and scale; by default a generated one.")] = None,
    frames: Annotated[int, typer.Option(min=100, help="Frames per pass.")] = 240,
    repeats: Annotated[int, typer.Option(min=1, help="Passes; medians are reported.")] = 3,
    as_json: shared_options.Json = False,
) -> None:
    """Speed with files, compared with a plain loop that runs the same steps sequentially, and with a transcode.

    The last columns are the wall time without and with temporal smoothing, over that of a transcode without a matte.
    """
    from dataclasses import asdict

    from stream.settings import settings
    from workers.bench import file

    if not as_json:
        print("engine        size  loop fps pump fps ratio  cpu ms  busy peak MiB  transcode fps  off  smoothed")
    for row in file.bench_file(clip, frames, repeats, settings(), to_stderr):
        if as_json:
            print(json.dumps(asdict(row)), flush=True)
            continue
        costs = f"{row.pump.cpu_ms:6.1f} {row.pump.busy:5.0%} {row.pump.peak_mib:8.0f}"
        size = f"{row.width}x{row.height}"
        speeds = f"{row.loop.fps:8.1f} {row.pump.fps:8.1f} {row.ratio:5.2f}"
        floor = f"{row.transcode.fps:13.1f} {row.times_transcode:4.2f} {row.smoothed_times_transcode:9.2f}"
        print(f"{row.engine:8} {size:>9}  {speeds}  {costs}  {floor}", flush=True)


@app.command("model")
def model(
    repeats: Annotated[int, typer.Option(min=1, help="Passes; medians are reported.")] = 5,
    save: shared_options.SaveRows = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
) -> None:
    """Speed of BiRefNet alone: milliseconds per frame, and share of the device's matrix multiplication rate."""
    from dataclasses import asdict

    from stream.settings import settings
    from workers.bench import model

    check_saved(save, overwrite)
    rows = [asdict(row) for row in model.bench_model(settings(), repeats, to_stderr)]
    if save is not None:
        save.write_text(json.dumps(rows, indent=1))
    if as_json:
        print(json.dumps(rows))
        return
    print("backbone  size batch dtype    form    ms/frame    fps  peak MiB TFLOP/s share")
    for row in rows:
        case = f"{row['backbone']:8} {row['side_px']:5} {row['batch']:5} {row['dtype']:8} {row['form']:5}"
        speed = f"{row['ms']:10.2f} {row['fps']:6.1f} {row['peak_mib']:9} {row['tflops']:7.3f} {row['share']:5.1%}"
        print(case, speed)


@app.command("temporal")
def temporal(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="A video.")],
    truth: Annotated[Path, typer.Option(metavar="ALPHA", help="Its true alpha, in a format that eval reads.")],
    engine: Annotated[str, typer.Option(metavar="NAME", help="The engine whose mattes are smoothed.")] = "selfie",
    save: Annotated[
        Path | None, typer.Option("--save", metavar="PNG", help="Also plot MAD and dtSSD into this file.")
    ] = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
) -> None:
    """Quality of temporal smoothing against the true alpha: ours, moving averages, a median."""
    from dataclasses import asdict

    from stream.settings import settings
    from workers.bench.plot import draw
    from workers.bench.temporal import bench_temporal

    check_saved(save, overwrite)
    rows = bench_temporal(clip, truth, engine, settings(), to_stderr)
    if save is not None:
        draw(rows, f"{engine} on {clip.name}", save)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print("filter          MAD    MSE   Grad  dtSSD  ms/frame  MAD/off dtSSD/off")
    for row in rows:
        figures = f"{row.mad:6.2f} {row.mse:6.2f} {row.grad:6.2f} {row.dtssd:6.2f} {row.ms:9.2f}"
        print(f"{row.filter:12} {figures} {row.mad_ratio:8.3f} {row.dtssd_ratio:9.3f}")
