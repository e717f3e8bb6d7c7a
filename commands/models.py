"""`mattebox models`: lists, downloads, verifies and exports weights; lists their classes."""

import importlib.util
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from commands import shared_options
from commands.messages import to_stderr
from commands.overwriting import check_file
from stream.errors import UsageError
from stream.install import install_command

app = typer.Typer(help="Weights: list, download, verify, export, list classes.", no_args_is_help=True)


@app.command("list")
def list_all(as_json: shared_options.Json = False) -> None:
    """List all weights, with state, licence, size and path."""
    from stream.settings import settings
    from workers.weights import known

    for weights in known.status(settings()):
        name, state, licence = weights.name, weights.state, weights.licence
        if as_json:
            fields = {"name": name, "state": state, "licence": licence, "bytes": weights.size}
            print(json.dumps(fields | {"path": str(weights.path)}))
        else:
            print(f"{name:28} {state:8} {licence:11} {weights.size / 1e6:6.1f} MB  {weights.path}")
    for name in known.with_choice():
        catalogue = known.catalogue(name)
        if all(importlib.util.find_spec(module) for module in catalogue.MODULES):
            _list_catalogue(name, catalogue, as_json)


def _list_catalogue(engine: str, catalogue: Any, as_json: bool) -> None:
    from stream.settings import settings

    for variant, checkpoint in catalogue.VARIANTS.items():
        name, file = f"{engine}:{variant}", catalogue.find_local(variant, settings())
        state = "missing" if file is None else "present"
        if as_json:
            print(json.dumps({"name": name, "state": state, "licence": checkpoint.licence, "path": str(file or "")}))
        else:
            size = f"{checkpoint.size_mb:6.1f} MB" if getattr(checkpoint, "size_mb", 0) else ""
            print(f"{name:28} {state:8} {checkpoint.licence:11} {size:9}  {file or checkpoint.origin}")


Name = Annotated[str, typer.Argument(metavar="NAME", help="A name that `models list` prints.")]


@app.command("pull")
def pull(name: Name) -> None:
    """Download weights into the cache, show their licence and verify them."""
    from stream.settings import settings
    from workers.weights import known

    engine, chosen, variant = name.partition(":")
    if chosen:
        print(known.catalogue(engine).pull(variant, settings(), to_stderr))
    else:
        print(known.pull(name, settings(), to_stderr))


@app.command("verify")
def verify(name: Name) -> None:
    """Compare the cached file with the known sha256."""
    from stream.settings import settings
    from workers.weights import known

    engine, chosen, variant = name.partition(":")
    if chosen:
        print(f"{name}: {known.catalogue(engine).verify(variant, settings())} has the published sha256")
        return
    known.verify(name, settings())
    print(f"{name}: the file has the known sha256; licence {known.weights(name).licence}")


@app.command("classes")
def classes(
    model: Annotated[
        str,
        typer.Argument(
            metavar="[MODEL]",
            help="A chooser of classes, CHOOSER:NAME, or NAME of mask2former's weights; default: mask2former.",
        ),
    ] = "",
    as_json: shared_options.Json = False,
) -> None:
    """List the classes that `class:` prompts can name, one a line, with all their names. Without a name of weights,
    those of the chooser's setting."""
    from stream.records.choosers import understanding
    from stream.settings import settings
    from workers.weights import class_names
    from workers.weights.transformers_repos import CATALOGUES

    chooser, _, spec = model.partition(":")
    if chooser not in (record.name for record in understanding(["class"])):
        chooser, spec = "mask2former", model
    spec = spec or getattr(settings(), chooser)
    for names in class_names.of_local(CATALOGUES[chooser], spec, settings()).listed():
        print(json.dumps({"names": names}) if as_json else ", ".join(names))


@app.command("export")
def export(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A BiRefNet, as --weights takes it; @WxH sets the input size.")
    ],
    former: Annotated[Path | None, typer.Argument(metavar="[FILE.onnx]", help="The same as --output.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.onnx", help="The file to write. Default: named after NAME."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option(help="The precision of weights and computation.")
    ] = "fp32",
    clip: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A video like yours: int8 is calibrated on it, all are checked.")
    ] = None,
    overwrite: shared_options.Overwrite = False,
) -> None:
    """Export BiRefNet as ONNX, with one input size and any batch size, checked against torch."""
    from stream.settings import settings
    from workers.export.naming import birefnet_name, default_output

    name = birefnet_name(name)
    _check_exporter()
    path = output or former or default_output(name, precision)
    check_file(path, overwrite)
    from workers.export.birefnet import export as export_birefnet

    report = export_birefnet(name, precision, path, clip or _shipped_clip(), settings(), to_stderr)
    for line in report.lines(path, precision):
        print(line)


def _check_exporter() -> None:
    """Raise UsageError if a package is missing that exports need."""
    from workers.device.automatic import importable

    if missing := [module for module in ("torch", "safetensors", "onnxscript") if not importable(module)]:
        command = install_command("mattebox[export]")
        raise UsageError(f"models export: needs {', '.join(missing)}; install with: {command}")


def _shipped_clip() -> Path | None:
    """The clip of the tests, in a checkout of the repository; packages do not contain it."""
    clip = Path(__file__).parents[1] / "tests" / "data" / "talk_bikes.mp4"
    return clip if clip.is_file() else None
