"""The command line: thin. It reads words, calls `stream` and `workers`, and turns errors into exit codes.

0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import contextlib
import importlib.util
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from commands import bench, jobs, live
from stream.errors import MatteboxError, UsageError
from stream.flags import with_flags
from stream.session import BACKGROUND_SPECS, Edges, Temporal, View

_INTERRUPTED = 130
__version__ = "0.1.0"

app = typer.Typer(
    name="mattebox",
    help="Cut people out of video and put them in front of something else.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="Weights: list, fetch, verify.", no_args_is_help=True)
bench_app = typer.Typer(help="What this machine reaches.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(bench_app, name="bench")
app.add_typer(jobs.app, name="jobs")
for command in (live.serve, live.web, live.worker):
    app.command()(command)
bench_app.command("live")(bench.live)
bench_app.command("jobs")(bench.jobs)

Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; twice for everything.")]


@app.command()
@with_flags(Edges, "Edges")
def file(
    edges: Edges,
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video to matte.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="Its name sets the format: .mp4 .webm .mov .mkv .gif, a folder or %05d.png.",
        ),
    ],
    background: Annotated[str, typer.Option(metavar="SPEC", help=f"{BACKGROUND_SPECS}.")] = "green",
    engine: Annotated[str, typer.Option(metavar="NAME", help="auto, birefnet, rvm, selfie, chroma.")] = "auto",
    view: Annotated[View, typer.Option(help="What the output shows.")] = View.COMPOSITE,
    temporal: Annotated[Temporal, typer.Option(help="How masks are steadied over time.")] = Temporal.AUTO,
    strength: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of --temporal; 0 is none.")] = 0.7,
    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="birefnet: a variant, repo id or .safetensors, perhaps @WxH."),
    ] = None,
    roi: Annotated[
        bool, typer.Option("--roi/--no-roi", help="birefnet: look where the subject was, at everything now and then.")
    ] = False,
    foreground: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="The subject's colours at soft edges: auto, estimate (no old background), keep."
        ),
    ] = "auto",
    key: Annotated[str | None, typer.Option(metavar="#RRGGBB", help="chroma: the screen's colour.")] = None,
    start: Annotated[str, typer.Option(metavar="S", help="Where to begin: seconds or h:mm:ss.")] = "0",
    end: Annotated[str | None, typer.Option(metavar="S", help="Where to stop.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Scale to this; 1280x or x720 keeps the shape.")
    ] = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Matte a video file."""
    from stream import log
    from stream.progress import reporter
    from stream.session import Options
    from stream.settings import settings
    from stream.timing import parse_time
    from workers.job import Task, run_file

    log.configure(verbose, as_json)
    options = Options.read(
        engine=engine,
        background=background,
        view=view,
        temporal=temporal,
        temporal_strength=strength,
        edges=edges,
        foreground=foreground,
        roi=roi,
        key=key,
    )
    end_s = None if end is None else parse_time(end)
    task = Task(source, output, options, parse_time(start), end_s, _size(size))
    report = reporter(as_json)
    chosen = settings() if weights is None else settings().model_copy(update={"birefnet": weights})
    report.done(run_file(task, chosen, report))


@app.command("eval")
def evaluate(
    pred: Annotated[Path, typer.Argument(metavar="PRED", help="Alpha as a video, a folder of PNGs or %05d.png.")],
    true: Annotated[Path, typer.Argument(metavar="TRUE", help="The truth, frame for frame.")],
    as_json: Json = False,
) -> None:
    """Compare an alpha video with the truth: MAD, MSE, Grad, Conn, dtSSD."""
    from dataclasses import asdict

    from stream.settings import settings
    from workers.evaluate import evaluate

    scores = evaluate(pred, true, settings())
    if as_json:
        print(json.dumps(asdict(scores)))
        return
    if scores.warning:
        print(f"warning: {scores.warning}", file=sys.stderr)
    dtssd = "-" if scores.dtssd is None else f"{scores.dtssd:.2f}"
    print(f"frames  {scores.frames}\nMAD     {scores.mad:.2f}   x1e3\nMSE     {scores.mse:.2f}   x1e3")
    print(f"Grad    {scores.grad:.2f}   sum/1000\nConn    {scores.conn:.2f}   sum/1000")
    print(f"dtSSD   {dtssd}   x1e2, the first frame left out")


@app.command()
def doctor(as_json: Json = False) -> None:
    """What works here, and what to install for the rest."""
    from dataclasses import asdict

    from stream.settings import settings
    from workers.doctor import examine

    healthy = True
    for finding in examine(settings()):
        healthy = healthy and finding.ok is not False
        mark = {True: "ok  ", False: "FAIL", None: "-   "}[finding.ok]
        remedy = f"  -> {finding.remedy}" if finding.remedy else ""
        print(
            json.dumps(asdict(finding)) if as_json else f"{mark} {finding.name}: {finding.detail}{remedy}", flush=True
        )
    if not healthy:
        raise typer.Exit(1)


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """Every set of weights: its state, licence, size and place."""
    from stream.settings import settings
    from workers import weights

    for one in weights.status(settings()):
        if as_json:
            fields = {"name": one.name, "state": one.state, "licence": one.licence, "bytes": one.size}
            print(json.dumps(fields | {"path": str(one.path)}))
        else:
            print(f"{one.name:24} {one.state:8} {one.licence:11} {one.size / 1e6:6.1f} MB  {one.path}")
    if importlib.util.find_spec("huggingface_hub") is None:
        return
    from workers import hub

    for name, checkpoint in hub.VARIANTS.items():
        file = hub.at_hand(name, settings())
        state = "missing" if file is None else "present"
        if as_json:
            fields = {"name": f"birefnet:{name}", "state": state, "licence": "MIT", "path": str(file or "")}
            print(json.dumps(fields))
        else:
            print(f"{f'birefnet:{name}':24} {state:8} {'MIT':11} {'':9}  {file or checkpoint.repo}")


Name = Annotated[str, typer.Argument(metavar="NAME", help="As `models list` names it.")]


@models_app.command("pull")
def models_pull(name: Name) -> None:
    """Fetch weights into the cache, show their licence, verify them."""
    from stream.settings import settings
    from workers import weights

    if name.startswith("birefnet:"):
        from workers import hub

        print(hub.find(name.removeprefix("birefnet:"), settings(), _say))
    else:
        print(weights.pull(name, settings(), _say))


@models_app.command("verify")
def models_verify(name: Name) -> None:
    """Compare the cached file with the known sha256."""
    from stream.settings import settings
    from workers import weights

    if name.startswith("birefnet:"):
        from workers import hub

        print(f"{name}: {hub.verify(name.removeprefix('birefnet:'), settings())}, as the hub knows it")
        return
    weights.verify(name, settings())
    print(f"{name}: the known file, {weights.WEIGHTS[name].licence}")


@models_app.command("export")
def models_export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As --weights of `file`; @WxH sets the size.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="An .onnx file.")],
) -> None:
    """Write a BiRefNet as ONNX, any batch of one size, checked against torch."""
    from stream.settings import settings
    from workers.engines.birefnet import load_network, network_size
    from workers.export import export_onnx
    from workers.hub import find, parse

    checkpoint, _ = parse(name)
    width, height = network_size(checkpoint, checkpoint.width, checkpoint.height)
    difference = export_onnx(load_network(find(name, settings(), _say)), width, height, output)
    print(f"{output}: {width}x{height}, any batch; within {difference:.1g} of torch")


@bench_app.command("file")
def bench_file(
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


@bench_app.command("model")
def bench_model(
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


@bench_app.command("temporal")
def bench_temporal(
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


def _size(text: str | None) -> tuple[int, int]:
    """(width, height), 0 for the side that follows from the other."""
    if text is None:
        return 0, 0
    match = re.fullmatch(r"(?=.*[0-9])([1-9][0-9]{0,5})?x([1-9][0-9]{0,5})?", text.lower())
    sides = (0, 0) if match is None else (int(match[1] or 0), int(match[2] or 0))
    if match is None or 1 in sides:
        raise UsageError(f"--size {text!r} is no size; write 1280x720, 1280x or x720")
    return sides


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def main() -> NoReturn:
    """Entry point: run a command and exit with its code."""
    _survive_closed_streams()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            signal.signal(number, _terminate)
    try:
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:  # typer turns Ctrl-C into this by itself
            raise KeyboardInterrupt
    except MatteboxError as exc:
        code = _fail(exc.code, str(exc), exc.exit_code)
    except OSError as exc:  # such as a full temporary folder; what belongs to an input or output has its own error
        code = _fail("system", f"{exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}", 1)
    except typer.TyperException as exc:
        code = _fail("usage", exc.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("interrupted", "interrupted", _INTERRUPTED)
    with contextlib.suppress(OSError):  # whoever read it has gone
        sys.stdout.flush()
    sys.exit(code if isinstance(code, int) else 0)


def _survive_closed_streams() -> None:
    """Started without standard output or error (`2>&-`), the work is done all the same."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _fail(kind: str, message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        if "--json" in sys.argv:
            print(json.dumps({"event": "error", "code": kind, "message": message}), flush=True)
        print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
