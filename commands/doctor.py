"""`mattebox doctor`: a check of this machine, or of the whole deployment as this machine sees it."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from commands import shared_options
from stream.errors import UsageError

if TYPE_CHECKING:
    from stream.finding import Finding

Deployment = Annotated[
    bool,
    typer.Option(
        "--deployment", help="Check instead what a deployment needs: Redis, storage, ports, TURN, clocks, secrets, GPU."
    ),
]
Url = Annotated[
    str, typer.Option("--url", metavar="URL", help="With --deployment: the service's address for users, https://HOST.")
]


Measure = Annotated[
    bool,
    typer.Option(
        "--measure", help="Measure instead which runtime is fastest here for each network, and use it from now on."
    ),
]


def doctor(
    as_json: shared_options.Json = False, deployment: Deployment = False, url: Url = "", measure: Measure = False
) -> None:
    """Check what works on this machine, and what to install for the rest."""
    if deployment and measure:
        raise UsageError("--deployment and --measure cannot be combined")
    healthy = True
    for finding in _deployment(url) if deployment else _measured() if measure else _machine():
        healthy = healthy and finding.ok is not False
        mark = {True: "ok  ", False: "FAIL", None: "-   "}[finding.ok]
        remedy = f"  -> {finding.remedy}" if finding.remedy else ""
        print(
            json.dumps(asdict(finding)) if as_json else f"{mark} {finding.name}: {finding.detail}{remedy}", flush=True
        )
    if not healthy:
        raise typer.Exit(1)


def _machine() -> "Iterator[Finding]":
    from stream.settings import settings
    from workers.measure.doctor import examine

    return examine(settings())


def _measured() -> "Iterator[Finding]":
    from stream.settings import settings
    from workers.device import threads
    from workers.measure import runtimes

    threads.apply(settings())
    return runtimes.findings(settings(), again=True)


def _deployment(url: str) -> "Iterator[Finding]":
    from stream.deployment import examine
    from stream.finding import guarded_now
    from stream.settings import settings
    from web import exposure
    from workers.measure import gpu
    from workers.measure.doctor import weights

    own = settings()
    with asyncio.Runner() as runner:
        found = examine(own)
        while (finding := runner.run(anext(found, None))) is not None:
            yield finding
    yield from guarded_now("settings", lambda: exposure.check(own, url))
    yield from guarded_now("gpu", gpu.check)
    yield from guarded_now("weights", lambda: list(weights(own)))
