"""`mattebox doctor`: a check of this machine."""

import json
from dataclasses import asdict

import typer

from commands import shared_options


def doctor(as_json: shared_options.Json = False) -> None:
    """Check what works on this machine, and what to install for the rest."""
    from stream.settings import settings
    from workers.measure.doctor import examine

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
