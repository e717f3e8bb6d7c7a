"""`mattebox jobs`: videos sent to a server, and what becomes of them."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import choices
from stream import limits
from stream.errors import RemoteError
from stream.picture.timing import clock, parse_time
from stream.records import api
from stream.records.formats import DEFAULT, FORMATS
from stream.records.jobs import JobState
from stream.records.options import Temporal, View
from stream.settings import settings

if TYPE_CHECKING:
    from commands.remote import Remote, Sent

_LOOK_S = 0.5
_FINAL = frozenset(state.value for state in JobState if state.final)
_BAD = _FINAL - {JobState.DONE.value}

app = typer.Typer(help="Videos worked on by a server: submit, list, watch, cancel, get.", no_args_is_help=True)

Url = Annotated[str, typer.Option("--server", envvar="MATTEBOX_SERVER", metavar="URL", help="Of the server.")]
Token = Annotated[str, typer.Option(envvar="MATTEBOX_TOKEN", help="Yours, where the server has some.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the job, or its beginning.")]
Wait = Annotated[bool, typer.Option("--watch/--no-watch", help="Stay until it ends, with a progress bar.")]
_HERE = "http://127.0.0.1:8080"


@app.command()
def submit(
    source: Annotated[str, typer.Argument(metavar="FILE|URL", help="The video, here or at an http(s) address.")],
    output: Annotated[
        list[str] | None, typer.Option(metavar="FORMAT[:VIEW]", help="As mp4 or mkv:matte; up to four of them.")
    ] = None,
    background: choices.Background = "green",
    engine: choices.Engine = "auto",
    view: choices.Shown = View.COMPOSITE,
    temporal: choices.Steadied = Temporal.AUTO,
    start: choices.Start = "0",
    end: choices.End = None,
    priority: Annotated[
        int, typer.Option(min=0, max=limits.PRIORITY_MOST, help="Among your own jobs.")
    ] = limits.PRIORITY,
    watch: Wait = True,
    server: Url = _HERE,
    token: Token = "",
    as_json: choices.Json = False,
) -> None:
    """Send a video and have it worked on. What was cut off goes on when the same is asked again."""
    remote = _remote(server, token)
    wish: dict[str, Any] = {
        "options": {"engine": engine, "background": background, "view": view, "temporal": temporal},
        "outputs": [_output(text) for text in output or [DEFAULT]],
        "start_s": parse_time(start),
        "end_s": None if end is None else parse_time(end),
        "priority": priority,
    }
    if source.startswith(("http://", "https://")):
        wish["url"] = source
    else:
        with _bar("upload", "bytes") as sent:
            wish["upload"] = remote.upload(Path(source), sent)
    job = remote.ask("POST", api.JOBS, wish)
    _conclude(_watched(remote, job["id"], as_json) if watch else job, as_json)


@app.command("list")
def every(server: Url = _HERE, token: Token = "", as_json: choices.Json = False) -> None:
    """Your jobs, newest first."""
    for job in _remote(server, token).ask("GET", api.JOBS)["jobs"]:
        print(json.dumps(job) if as_json else _line(job))


@app.command()
def watch(id: Id, server: Url = _HERE, token: Token = "", as_json: choices.Json = False) -> None:
    """Follow a job until it ends. Exit code 1 where it failed or was cancelled."""
    remote = _remote(server, token)
    _conclude(_watched(remote, _whole(remote, id), as_json), as_json)


@app.command()
def cancel(id: Id, server: Url = _HERE, token: Token = "") -> None:
    """Have a job stopped; one that is over stays."""
    remote = _remote(server, token)
    remote.ask("DELETE", f"{api.JOBS}/{_whole(remote, id)}?keep=true")


@app.command()
def get(
    id: Id,
    name: Annotated[str, typer.Option("--name", help="Of the output; the first if not given.")] = "",
    to: Annotated[Path | None, typer.Option("-o", "--output", metavar="OUT", help="Where to put it.")] = None,
    server: Url = _HERE,
    token: Token = "",
) -> None:
    """Fetch a result."""
    remote = _remote(server, token)
    job = remote.ask("GET", f"{api.JOBS}/{_whole(remote, id)}")
    name = name or job["outputs"][0]["name"]
    if name not in job["results"]:
        raise RemoteError(f"the job is {job['state']} and has no result {name!r}")
    result = job["results"][name]
    format = next(output["format"] for output in job["outputs"] if output["name"] == name)
    final = to or Path(f"{Path(job['title']).stem or 'video'}-{name}{_suffix(format)}")
    with _bar("download", "bytes") as sent:
        remote.download(result["url"], final, sent)
    print(final)


def _remote(server: str, token: str) -> "Remote":
    from commands.remote import Remote

    return Remote(server, token, settings())


def _output(text: str) -> dict[str, str]:
    format, _, view = text.partition(":")
    named = {"name": "-".join(filter(None, (format, view))), "format": format}
    return named | ({"view": view} if view else {})


def _suffix(format: str) -> str:
    """Of a result's name. A newer server may have formats that are unknown here."""
    known = FORMATS.get(format)
    return known.result_suffix if known else f".{format}"


def _whole(remote: "Remote", id: str) -> str:
    """The id that begins so."""
    found = [job["id"] for job in remote.ask("GET", api.JOBS)["jobs"] if job["id"].startswith(id)]
    if len(found) != 1:
        raise RemoteError(f"{len(found) or 'no'} jobs begin with {id!r}")
    return str(found[0])


def _watched(remote: "Remote", id: str, as_json: bool) -> dict[str, Any]:
    """Show how far it is until it ends; the job then."""
    told = None
    with _bar("matte", "frames") as sent:
        while True:
            job: dict[str, Any] = remote.ask("GET", f"{api.JOBS}/{id}")
            progress = job["progress"]
            sent(progress["frames"], progress["of_frames"])
            if as_json and (job["state"], progress) != told:
                told = (job["state"], progress)
                print(json.dumps({"event": "progress", "id": id, "state": job["state"], **progress}), flush=True)
            if job["state"] in _FINAL:
                return job
            time.sleep(_LOOK_S)


def _conclude(job: dict[str, Any], as_json: bool) -> None:
    print(json.dumps({"event": "job", **job}) if as_json else _line(job))
    if job["state"] in _BAD:
        raise typer.Exit(1)


def _line(job: dict[str, Any]) -> str:
    progress, said = job["progress"], job["detail"] or ", ".join(job["results"])
    far = f"{progress['frames']}/{progress['of_frames']}" if progress["of_frames"] else ""
    left = f"{clock(progress['left_s'])} left" if progress["left_s"] and job["state"] == JobState.RUNNING else ""
    return "  ".join(filter(None, (job["id"], f"{job['state']:9}", far, left, job["title"], said)))


@contextmanager
def _bar(what: str, unit: str) -> Iterator["Sent"]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    speed = (
        (TransferSpeedColumn(),) if unit == "bytes" else (TextColumn("{task.completed:.0f} of {task.total} frames"),)
    )
    columns = (TextColumn(what), BarColumn(None), *speed, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
