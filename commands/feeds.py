"""`mattebox feeds`: live streams that a server mattes and sends on, until they are removed."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from commands import job_request, shared_options
from commands.matting_options import MattingOptions, read_subjects, with_matting_options
from commands.output_options import Audio, AudioOption, Bitrate, parse_bitrate
from commands.passwords import TOKEN_FILE_HELP, PasswordFile, address_of, token_of, with_password_of
from commands.remote_options import LOCAL, Token, Url, remote_at
from stream import limits
from stream.errors import BackgroundError, RemoteError, UsageError
from stream.records import http_paths
from stream.records.options import Background, Edges, FeedOptions

if TYPE_CHECKING:
    from commands.client import Remote

app = typer.Typer(
    help="Live streams that a server mattes and sends on: add, list, show, set, remove.", no_args_is_help=True
)

Ref = Annotated[str, typer.Argument(metavar="NAME", help="Name of the feed, or its id.")]
OutputRef = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="Id of an output, as `show` prints it; repeatable.")
]
WhipToken = Annotated[
    str, typer.Option(envvar="MATTEBOX_WHIP_TOKEN", help="Bearer token of the WHIP servers among the outputs.")
]
WhipTokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help=TOKEN_FILE_HELP)]
WhepToken = Annotated[
    str, typer.Option(envvar="MATTEBOX_WHEP_TOKEN", help="Bearer token of a WHEP server that is the source.")
]
WhepTokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help=TOKEN_FILE_HELP)]
Insecure = Annotated[bool, typer.Option("--insecure", help="Accept any TLS certificate of the source and outputs.")]
_SUBJECTS = "subjects="
ShowRoom = Annotated[bool, typer.Option("--show-room", help="Allow the outputs to show the unmatted room.")]


@app.command()
@with_matting_options
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for the feed.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="Address of the source, such as rtsp://HOST/PATH; or @FILE. live:NAME is a stream on the server.",
        ),
    ],
    matting: MattingOptions,
    edges: Edges,
    outputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DST]...", help="Addresses of the outputs, such as rtmp://HOST/APP/KEY; or @FILE."),
    ] = None,
    bitrate: Bitrate = None,
    audio: AudioOption = Audio.COPY,
    slate: shared_options.Slate = "",
    whip_token: WhipToken = "",
    whip_token_file: WhipTokenFile = None,
    whep_token: WhepToken = "",
    whep_token_file: WhepTokenFile = None,
    insecure: Insecure = False,
    show_room: ShowRoom = False,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Start the feed now.")] = True,
    password_file: PasswordFile = None,
    server: Url = LOCAL,
    token: Token = "",
    as_json: shared_options.Json = False,
) -> None:
    """Add a feed. It runs on the server until it is removed."""
    remote, bearer = remote_at(server, token), token_of(whip_token, whip_token_file, "--whip-token")
    source_bearer = token_of(whep_token, whep_token_file, "--whep-token")
    address = with_password_of(address_of(source), password_file)
    sent = [_output(text, bitrate, audio, bearer, insecure) for text in outputs or []]
    options, of_server = job_request.read_options(matting, edges)
    job_request.check_background(options.background, shared_options.settings_with(None, options.engine))
    chosen = options.model_dump(mode="json", exclude_defaults=True) | _slate(slate)
    if options.subjects:
        job_request.check_masks(options.subjects)
        chosen["subjects"] = job_request.uploaded_subjects(remote, options.subjects)
    if shared_options.was_given(context, "background") or not address.lower().startswith("live:"):
        # else the server chooses: none, because such a stream is matted already
        chosen["background"] = of_server or job_request.uploaded_background(remote, options.background)
    width, height = matting.size_px
    body = {
        "name": name,
        "source": address,
        "source_token": (source_bearer or "") if address.lower().startswith("whep") else "",
        "insecure": insecure,
        "width": width,
        "height": height,
        "outputs": sent,
        "options": chosen,
        "show_room": show_room,
        "running": start,
    }
    _print(remote.create(http_paths.FEEDS, body), as_json)


def _output(text: str, bitrate: str | None, audio: Audio, token: str | None, insecure: bool) -> dict[str, Any]:
    """text: the address, or @FILE."""
    address = address_of(text)
    output = {"address": address, "bitrate": parse_bitrate(bitrate), "audio": audio.value, "insecure": insecure}
    return output | ({"token": token} if token and address.lower().startswith("whip") else {})


@app.command("list")
def list_all(
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of feeds, newest first; by default all.")
    ] = None,
    server: Url = LOCAL,
    token: Token = "",
    as_json: shared_options.Json = False,
) -> None:
    """List your feeds, newest first."""
    for feed in islice(_listed(remote_at(server, token)), limit):
        print(json.dumps(feed) if as_json else _line(feed), flush=True)


@app.command()
def show(ref: Ref, server: Url = LOCAL, token: Token = "", as_json: shared_options.Json = False) -> None:
    """Print a feed with the states of its source and of each output."""
    _print(_found(remote_at(server, token), ref), as_json)


@app.command()
def remove(ref: Ref, server: Url = LOCAL, token: Token = "") -> None:
    """End a feed and its outputs, and remove it."""
    remote = remote_at(server, token)
    remote.ask("DELETE", f"{http_paths.FEEDS}/{_found(remote, ref)['id']}")


@app.command("set")
def change(
    ref: Ref,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A matting option, such as background=blur:0.8, edges.feather=2 or subjects=SPEC; repeatable.",
        ),
    ] = None,
    add: Annotated[
        list[str] | None, typer.Option(metavar="DST", help="Address of an output to add, or @FILE; repeatable.")
    ] = None,
    remove: OutputRef = None,
    pause: OutputRef = None,
    resume: OutputRef = None,
    name: Annotated[str | None, typer.Option(help="A new name for the feed.")] = None,
    slate: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The text over the background while the source is away; '' for none."),
    ] = None,
    start: Annotated[bool | None, typer.Option("--start/--stop", help="Start or stop the feed.")] = None,
    bitrate: Bitrate = None,
    audio: AudioOption = Audio.COPY,
    whip_token: WhipToken = "",
    whip_token_file: WhipTokenFile = None,
    insecure: Insecure = False,
    show_room: ShowRoom = False,
    server: Url = LOCAL,
    token: Token = "",
    as_json: shared_options.Json = False,
) -> None:
    """Change a feed while it runs. --bitrate, --audio, --whip-token (-file) and --insecure apply to added outputs."""
    remote, bearer = remote_at(server, token), token_of(whip_token, whip_token_file, "--whip-token")
    added = [_output(text, bitrate, audio, bearer, insecure) for text in add or []]
    feed = _found(remote, ref)
    changes = {"add": added, "remove": remove or [], "pause": pause or [], "resume": resume or []}
    options = _options(remote, feed, option or []) | ({} if slate is None else {"slate": slate})
    body = {"outputs": changes, "options": options, "show_room": show_room}
    given = {"name": name, "running": start}
    body |= {field: value for field, value in given.items() if value is not None}
    _print(remote.ask("PATCH", f"{http_paths.FEEDS}/{feed['id']}", body), as_json)


def _options(remote: "Remote", feed: dict[str, Any], pairs: list[str]) -> dict[str, Any]:
    """The options to send, from NAME=VALUE texts. A background and masks from files are uploaded. Raises UsageError."""
    options: dict[str, Any] = {}
    subjects = [pair.removeprefix(_SUBJECTS) for pair in pairs if pair.startswith(_SUBJECTS)]
    if subjects and subjects != ["null"]:
        options["subjects"] = job_request.uploaded_subjects(remote, read_subjects(subjects))
        pairs = [pair for pair in pairs if not pair.startswith(_SUBJECTS)]
    for pair in pairs:
        field, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--option {pair!r}: write it as NAME=VALUE")
        if field == "background" and text.startswith(("image:", "video:")):
            value: Any = job_request.uploaded_background(remote, _background(text))
        else:
            value = text if field == "slate" else _value(text)
        group, dot, inner = field.partition(".")
        if dot:
            options[group] = options.get(group, dict(feed["options"].get(group) or {})) | {inner: value}
        else:
            options[field] = value
    return options


def _slate(text: str) -> dict[str, str]:
    """The option for this text, if any. Raises UsageError."""
    return {"slate": FeedOptions.read(slate=text).slate} if text else {}


def _background(spec: str) -> Background:
    background = Background.model_validate(spec)
    if not Path(background.path).is_file():
        raise BackgroundError(f"{background.path}: no such file")
    return background


def _value(text: str) -> Any:
    """A number, true, false or null; everything else is text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


def _listed(remote: "Remote") -> Iterator[dict[str, Any]]:
    """The user's feeds, newest first, read page by page."""
    cursor = ""
    while cursor is not None:
        query = urlencode({"limit": limits.FEEDS_PAGE_MOST, "cursor": cursor})
        page = remote.ask("GET", f"{http_paths.FEEDS}?{query}")
        yield from page["feeds"]
        cursor = page["next"]


def _found(remote: "Remote", ref: str) -> dict[str, Any]:
    """The feed with this name, or with an id that starts like this. Raises RemoteError."""
    feeds = list(_listed(remote))
    found = [feed for feed in feeds if feed["name"] == ref] or [feed for feed in feeds if feed["id"].startswith(ref)]
    if len(found) != 1:
        raise RemoteError(f"{len(found) or 'no'} feeds have the name or the beginning of an id {ref!r}")
    return found[0]


def _print(feed: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(feed))
        return
    print(_line(feed))
    meters, source = feed["meters"] or {}, feed["source"]
    rate = f"{meters['fps_in']:g} fps" if meters else ""
    print(_columns("source", source["address"], _state(source), rate))
    for output in feed["outputs"]:
        sent = f"{output['bitrate_bps'] / 1e6:.2f} Mbit/s" if output["bitrate_bps"] else ""
        counts = f"{output['frames']} frames, {output['dropped']} dropped" if output["frames"] else ""
        print(_columns(output["id"], output["address"], _state(output), sent, counts))
    if meters.get("notice"):
        print(f"  {meters['notice']}")


def _line(feed: dict[str, Any]) -> str:
    outputs = f"{len(feed['outputs'])} output{'' if len(feed['outputs']) == 1 else 's'}"
    return _columns(feed["id"], feed["name"], feed["state"], outputs, feed["detail"]).lstrip()


def _state(part: dict[str, Any]) -> str:
    state = part["state"] or ("paused" if part.get("paused") else "not running")
    return f"{state}: {part['reason']}" if part["reason"] else str(state)


def _columns(*texts: str) -> str:
    return "  " + "  ".join(filter(None, (f"{text:8}" if text else "" for text in texts))).rstrip()
