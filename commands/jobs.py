"""`mattebox jobs`: sends videos and pictures to a server, follows their jobs, and downloads the results."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from commands import job_request, shared_options
from commands.matting_options import MattingOptions, PartOptions, with_matting_options
from commands.messages import to_stderr
from commands.overwriting import check_not_input
from commands.record_options import with_flags
from commands.remote_options import LOCAL, Token, Url, remote_at
from stream import limits
from stream.errors import RemoteError, UsageError
from stream.picture.timing import clock
from stream.records import http_paths
from stream.records.formats import FORMATS, NAMES, check_input, still_for
from stream.records.jobs import JobState
from stream.records.options import Edges
from stream.settings import settings
from stream.signals import postponed

if TYPE_CHECKING:
    from commands.client import Remote, Update

_POLL_S = 0.5
_FINAL = frozenset(state.value for state in JobState if state.final)
_UNSUCCESSFUL = _FINAL - {JobState.DONE.value}

app = typer.Typer(
    help="Videos and pictures processed by a server: submit, list, watch, cancel, get.", no_args_is_help=True
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the job, or the first characters of it.")]
Wait = Annotated[bool, typer.Option("--watch/--no-watch", help="Wait until the job ends, with a progress bar.")]


@app.command()
@with_matting_options
@with_flags(PartOptions)
def submit(
    source: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="The video or picture: a file, or an http(s) address.")
    ],
    matting: MattingOptions,
    edges: Edges,
    part: PartOptions,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT[:NAME+...]",
            help=f"Wait, and save the result; its name sets the format: {NAMES}; .zip for PNG files. "
            ":NAME: only these subjects.",
        ),
    ] = None,
    result: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT[:VIEW][:NAME+...]",
            help="A result to make, such as mp4, mkv:matte or webm:ann (only this subject); up to four in all.",
        ),
    ] = None,
    priority: Annotated[
        int, typer.Option(min=0, max=limits.PRIORITY_MOST, help="Priority among your own jobs; higher runs first.")
    ] = limits.PRIORITY,
    watch: Wait = True,
    server: Url = LOCAL,
    token: Token = "",
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
) -> None:
    """Send a video or picture to the server as a job.

    An interrupted upload continues when the same command is run again.
    """
    from commands import job_results

    remote, video = remote_at(server, token), None if _is_url(source) else shared_options.local(source)
    options, of_server = job_request.read_options(matting, edges)
    name, subject = job_request.read_output(output, options) if output is not None else (None, ())
    final = None if name is None else shared_options.local(name)
    saved = job_request.format_of(final) if final else None
    still = _is_picture(video or Path(source))
    if saved and not _is_unknown(video):
        check_input(saved, still)
    outputs = job_request.read_outputs(result or [], saved, options, still, subject)
    request = job_request.body(options, outputs, part, matting.size_px) | {"priority": priority}
    if final:
        if not watch:
            raise UsageError("-o waits until the job has ended; leave out --no-watch, or -o")
        if video:
            check_not_input(video, final)
        job_results.check_final(outputs[0]["format"], final, overwrite)
    if video:
        job_request.check_video(video, request, settings())
    job_request.check_background(options.background, settings())
    job_request.check_masks(options.subjects)
    job_request.check_server(remote, options, of_server, outputs, video)
    request["options"]["background"] = of_server or job_request.uploaded_background(remote, options.background)
    if options.subjects:
        request["options"]["subjects"] = job_request.uploaded_subjects(remote, options.subjects)
    request |= {"upload": _uploaded(remote, video)} if video else {"url": source}
    job = remote.submit(request)
    if watch:
        job = _watched(remote, job["id"], as_json)
    _conclude(job, as_json)
    if final:
        _save(remote, job, outputs[0]["name"], final)


def _is_picture(path: Path) -> bool:
    """Whether a local file is a picture; of an address, whether its name says so, as the server guesses."""
    from stream.sources.signatures import is_picture

    return is_picture(path) or (not path.exists() and still_for(path.suffix.lower()) is not None)


def _is_unknown(video: Path | None) -> bool:
    """Whether a local file is missing, or neither a video nor a picture; `check_video` says so."""
    from stream.sources.signatures import kind_of

    return video is not None and not kind_of(video)


def _is_url(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def _uploaded(remote: "Remote", video: Path) -> str:
    """The id of the uploaded video."""
    try:
        with _bar("upload", "bytes") as update:
            return remote.upload(video, update)
    except KeyboardInterrupt:
        to_stderr("the upload is incomplete; run the same command again to continue it")
        raise


def _save(remote: "Remote", job: dict[str, Any], name: str, final: Path) -> None:
    from commands import job_results

    with _bar("download", "bytes") as update:
        job_results.save_result(remote, job, name, final, update)
    to_stderr(f"saved as {final}")


@app.command("list")
def list_all(
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of jobs, newest first; by default all.")
    ] = None,
    server: Url = LOCAL,
    token: Token = "",
    as_json: shared_options.Json = False,
) -> None:
    """List your jobs, newest first."""
    for job in islice(_listed(remote_at(server, token), limit), limit):
        print(json.dumps(job) if as_json else _line(job), flush=True)


@app.command()
def watch(id: Id, server: Url = LOCAL, token: Token = "", as_json: shared_options.Json = False) -> None:
    """Follow a job until it ends. The exit code is 1 if it failed or was cancelled."""
    remote = remote_at(server, token)
    _conclude(_watched(remote, _full_id(remote, id), as_json), as_json)


@app.command()
def cancel(id: Id, server: Url = LOCAL, token: Token = "") -> None:
    """Cancel a job. Has no effect on a job that has ended."""
    remote = remote_at(server, token)
    remote.ask("DELETE", f"{http_paths.JOBS}/{_full_id(remote, id)}?keep=true")


@app.command()
def get(
    id: Id,
    name: Annotated[str, typer.Option("--name", help="Name of the output; by default the first.")] = "",
    to: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="Where to save it; by default a name like the video's."),
    ] = None,
    overwrite: shared_options.Overwrite = False,
    server: Url = LOCAL,
    token: Token = "",
) -> None:
    """Download a result."""
    from commands import job_results

    remote = remote_at(server, token)
    job = remote.ask("GET", f"{http_paths.JOBS}/{_full_id(remote, id)}")
    name = name or job["outputs"][0]["name"]
    if name not in job["results"]:
        raise RemoteError(f"the job is {job['state']} and has no result {name!r}")
    format = next(output["format"] for output in job["outputs"] if output["name"] == name)
    final = to or Path(f"{Path(job['title']).stem or 'video'}-{name}{_suffix(format)}")
    job_results.check_final(format, final, overwrite)
    with _bar("download", "bytes") as update:
        job_results.save_result(remote, job, name, final, update)
    print(final)


def _suffix(format: str) -> str:
    """File name suffix of a result. A newer server may have formats that are unknown here."""
    known = FORMATS.get(format)
    return known.result_suffix if known else f".{format}"


def _listed(remote: "Remote", limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The user's jobs, newest first, read page by page. limit: how many are needed; None: all."""
    size, cursor = min(limit or limits.JOBS_PAGE_MOST, limits.JOBS_PAGE_MOST), ""
    while cursor is not None:
        page = remote.ask("GET", f"{http_paths.JOBS}?{urlencode({'limit': size, 'cursor': cursor})}")
        yield from page["jobs"]
        cursor = page["next"]


def _full_id(remote: "Remote", id: str) -> str:
    """The complete id of the only job whose id starts like this. Raises RemoteError."""
    if limits.RECORD_ID.fullmatch(id):
        return id
    found = [job["id"] for job in _listed(remote) if job["id"].startswith(id)]
    if len(found) != 1:
        raise RemoteError(f"{len(found) or 'no'} jobs have an id that starts with {id!r}")
    return str(found[0])


def _watched(remote: "Remote", id: str, as_json: bool) -> dict[str, Any]:
    """Show the progress of a job until it ends. Returns the job. If interrupted, prints that the job continues."""
    try:
        return _followed(remote, id, as_json)
    except KeyboardInterrupt:
        to_stderr(f"job {id} continues on the server; follow it: mattebox jobs watch {id[:8]}")
        to_stderr(f"download its result: mattebox jobs get {id[:8]}; stop it: mattebox jobs cancel {id[:8]}")
        raise


def _followed(remote: "Remote", id: str, as_json: bool) -> dict[str, Any]:
    printed = None
    with _bar("matte", "frames") as update:
        while True:
            job: dict[str, Any] = remote.ask("GET", f"{http_paths.JOBS}/{id}")
            progress = job["progress"]
            update(progress["frames"], progress["of_frames"])
            if as_json and (job["state"], progress) != printed:
                printed = (job["state"], progress)
                print(json.dumps({"event": "progress", "id": id, "state": job["state"], **progress}), flush=True)
            if job["state"] in _FINAL:
                return job
            time.sleep(_POLL_S)


def _conclude(job: dict[str, Any], as_json: bool) -> None:
    print(json.dumps({"event": "job", **job}) if as_json else _line(job))
    for _, sentence in () if as_json else job["warnings"]:
        to_stderr(f"warning: {sentence}")
    if job["state"] in _UNSUCCESSFUL:
        raise typer.Exit(1)


def _line(job: dict[str, Any]) -> str:
    progress, outcome = job["progress"], job["detail"] or ", ".join(job["results"])
    frames = f"{progress['frames']}/{progress['of_frames']}" if progress["of_frames"] else ""
    left = f"{clock(progress['left_s'])} left" if progress["left_s"] and job["state"] == JobState.RUNNING else ""
    return "  ".join(filter(None, (job["id"], f"{job['state']:9}", frames, left, job["title"], outcome)))


@contextmanager
def _bar(title: str, unit: str) -> Iterator["Update"]:
    """A progress bar on a terminal, nothing elsewhere. Yields a function that updates it."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    speed = (
        (TransferSpeedColumn(),) if unit == "bytes" else (TextColumn("{task.completed:.0f} of {task.total} frames"),)
    )
    columns = (TextColumn(title), BarColumn(None), *speed, TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, expand=True)
    task = bar.add_task("", total=None)
    with postponed():  # interrupted halfway, it could not be stopped
        bar.start()
    try:
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
    finally:
        with postponed():
            bar.stop()
