"""`mattebox models`: weights are listed, fetched, verified and exported."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.records.engines import ENGINES

app = typer.Typer(help="Weights: list, fetch, verify.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")]


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """Every set of weights: its state, licence, size and place."""
    from stream.settings import settings
    from workers.weights import known

    for one in known.status(settings()):
        if as_json:
            fields = {"name": one.name, "state": one.state, "licence": one.licence, "bytes": one.size}
            print(json.dumps(fields | {"path": str(one.path)}))
        else:
            print(f"{one.name:24} {one.state:8} {one.licence:11} {one.size / 1e6:6.1f} MB  {one.path}")
    for record in ENGINES.values():
        if record.catalogue and all(importlib.util.find_spec(module) for module in record.modules):
            _list_catalogue(record.name, known.catalogue(record.name), as_json)


def _list_catalogue(engine: str, catalogue: Any, as_json: bool) -> None:
    from stream.settings import settings

    for variant, checkpoint in catalogue.VARIANTS.items():
        name, file = f"{engine}:{variant}", catalogue.find_local(variant, settings())
        state = "missing" if file is None else "present"
        if as_json:
            print(json.dumps({"name": name, "state": state, "licence": catalogue.LICENCE, "path": str(file or "")}))
        else:
            print(f"{name:24} {state:8} {catalogue.LICENCE:11} {'':9}  {file or checkpoint.repo}")


Name = Annotated[str, typer.Argument(metavar="NAME", help="As `models list` names it.")]


@app.command("pull")
def pull(name: Name) -> None:
    """Fetch weights into the cache, show their licence, verify them."""
    from stream.settings import settings
    from workers.weights import known

    engine, chosen, variant = name.partition(":")
    if chosen:
        print(known.catalogue(engine).find(variant, settings(), _say))
    else:
        print(known.pull(name, settings(), _say))


@app.command("verify")
def verify(name: Name) -> None:
    """Compare the cached file with the known sha256."""
    from stream.settings import settings
    from workers.weights import known

    engine, chosen, variant = name.partition(":")
    if chosen:
        print(f"{name}: {known.catalogue(engine).verify(variant, settings())}, as the hub knows it")
        return
    known.verify(name, settings())
    print(f"{name}: the known file, {known.weights(name).licence}")


@app.command("export")
def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As --weights of `file`; @WxH sets the size.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="An .onnx file.")],
) -> None:
    """Write a BiRefNet as ONNX, any batch of one size, checked against torch."""
    from stream.settings import settings
    from stream.sinks.partial import Partial
    from workers.engines.birefnet import load_network, network_size
    from workers.models.birefnet.export import export_onnx
    from workers.weights.hub import find, parse

    checkpoint, _ = parse(name)
    Partial(output)  # may it be written there? Weights take long to come
    width, height = network_size(checkpoint, checkpoint.width, checkpoint.height)
    difference = export_onnx(load_network(find(name, settings(), _say)), width, height, output)
    print(f"{output}: {width}x{height}, any batch; within {difference:.1g} of torch")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
