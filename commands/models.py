"""`mattebox models`: weights are listed, fetched, verified and exported."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

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
    if importlib.util.find_spec("huggingface_hub") is None:
        return
    from workers.weights import hub

    for name, checkpoint in hub.VARIANTS.items():
        file = hub.find_local(name, settings())
        state = "missing" if file is None else "present"
        if as_json:
            fields = {"name": f"birefnet:{name}", "state": state, "licence": "MIT", "path": str(file or "")}
            print(json.dumps(fields))
        else:
            print(f"{f'birefnet:{name}':24} {state:8} {'MIT':11} {'':9}  {file or checkpoint.repo}")


Name = Annotated[str, typer.Argument(metavar="NAME", help="As `models list` names it.")]


@app.command("pull")
def pull(name: Name) -> None:
    """Fetch weights into the cache, show their licence, verify them."""
    from stream.settings import settings
    from workers.weights import known

    if name.startswith("birefnet:"):
        from workers.weights import hub

        print(hub.find(name.removeprefix("birefnet:"), settings(), _say))
    else:
        print(known.pull(name, settings(), _say))


@app.command("verify")
def verify(name: Name) -> None:
    """Compare the cached file with the known sha256."""
    from stream.settings import settings
    from workers.weights import known

    if name.startswith("birefnet:"):
        from workers.weights import hub

        print(f"{name}: {hub.verify(name.removeprefix('birefnet:'), settings())}, as the hub knows it")
        return
    known.verify(name, settings())
    print(f"{name}: the known file, {known.WEIGHTS[name].licence}")


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
