"""The request bodies of /api/feeds, their checks, and the records made from them. Stores nothing."""

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Annotated, Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.address import Address
from stream.errors import FetchError, UsageError
from stream.fetch.live_urls import DEVICE, OUTPUT_SCHEMES, SOURCE_SCHEMES, STREAM, check_live_url
from stream.records.feeds import (
    Audio,
    Bitrate,
    Feed,
    FeedName,
    FeedOutput,
    FeedSecrets,
    FeedState,
    OutputId,
    OutputSecret,
)
from stream.records.jobs import Side
from stream.records.options import FeedOptions
from stream.sinks.live import protocols as output_protocols
from stream.sources.live import protocols as source_protocols
from web.context import Context
from web.http.problems import Problem
from web.http.threads import in_network_thread, in_thread
from web.privacy import keep_private
from web.read_options import read_options

PartialOptions = Annotated[
    dict[str, Any],
    Field(description="as in POST /api/sessions, and slate: text while the source is away; null is the default"),
]
Url = Annotated[str, Field(min_length=1, max_length=limits.ADDRESS)]
_SOURCES = [*(scheme for scheme in SOURCE_SCHEMES if scheme in source_protocols.PROTOCOLS), STREAM]
_OUTPUTS = [scheme for scheme in OUTPUT_SCHEMES if scheme in output_protocols.PROTOCOLS]
"""The schemes that users may give, as far as this version has them."""
_TOKEN_SCHEMES = frozenset(scheme for scheme in OUTPUT_SCHEMES if scheme.startswith("whip"))
_SOURCE_TOKEN_SCHEMES = frozenset(scheme for scheme in SOURCE_SCHEMES if scheme.startswith("whep"))
Token = Annotated[str, Field(max_length=limits.TOKEN, pattern="^[!-~]*$", description="bearer token of a server")]

_EXAMPLE: dict[str, Any] = {
    "name": "stage",
    "source": "rtsp://USER:PASSWORD@camera.example/stream1",
    "outputs": [
        {"address": "rtmp://live.example/app/STREAM-KEY", "bitrate": 4_000_000},
        {"address": "srt://mixer.example:9000?latency=200", "audio": "off", "paused": True},
    ],
    "options": {"background": "color:#1f2937", "slate": "Back soon"},
}


class FeedOutputIn(BaseModel):
    """An output to add. The address may contain a user, a password and a stream key: they are not shown again."""

    model_config = ConfigDict(extra="forbid")
    address: Url
    bitrate: Bitrate = None
    audio: Audio = "copy"
    token: Token = Field("", description="bearer token of a WHIP server")
    insecure: bool = Field(False, description="accept any TLS certificate")
    paused: bool = False


class FeedRequest(BaseModel):
    """source, outputs: addresses of servers; source: also live:NAME, a stream of yours that is published on this
    server, whose background is `none` unless another one is set. show_room: allow the outputs to show the room
    (background none, views overlay and side-by-side). running: whether to start it now."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_extra={"examples": [_EXAMPLE]})
    name: FeedName
    source: Url
    source_token: Token = Field("", description="bearer token of a WHEP server that is the source")
    insecure: bool = Field(False, description="accept any TLS certificate of the source")
    width: Side = Field(0, description="pixels; 0: follows from the height, or is that of the source")
    height: Side = 0
    outputs: list[FeedOutputIn] = Field(default_factory=list, max_length=limits.FEED_OUTPUTS)
    options: PartialOptions = Field(default_factory=dict)
    show_room: bool = False
    running: bool = True


Ids = Annotated[list[OutputId], Field(max_length=limits.FEED_OUTPUTS)]


class OutputChanges(BaseModel):
    """Outputs to add, and ids of outputs to remove, pause or resume."""

    model_config = ConfigDict(extra="forbid")
    add: list[FeedOutputIn] = Field(default_factory=list, max_length=limits.FEED_OUTPUTS)
    remove: Ids = Field(default_factory=list)
    pause: Ids = Field(default_factory=list)
    resume: Ids = Field(default_factory=list)


class FeedChange(BaseModel):
    """What is left out stays as it is. A change starts a feed again that has failed, unless `running` is false."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "options": {"background": "blur:0.8"},
                    "outputs": {"add": [{"address": "rtsp://nas.example/stage"}], "pause": ["5f6b6d0e"]},
                },
                {"running": False},
            ]
        },
    )
    name: FeedName | None = None
    options: PartialOptions = Field(default_factory=dict)
    show_room: bool = False
    outputs: OutputChanges = OutputChanges()
    running: bool | None = None


async def new_feed(here: Context, owner: str, request: FeedRequest) -> tuple[Feed, FeedSecrets]:
    """The feed for a request. Raises Problem 422, naming the invalid field."""
    source = await _checked(here, "source", request.source, _SOURCES)
    if request.source_token and source.scheme not in _SOURCE_TOKEN_SCHEMES:
        raise _token_problem(_SOURCE_TOKEN_SCHEMES, "source_token")
    outputs, secrets = await _outputs(here, "outputs", request.outputs)
    part = request.options
    if of_stream := source.scheme == STREAM:
        part = _unmatted({"background": None} | part)
    options = await in_thread(read_options, here.settings, here.background_store, owner, FeedOptions(), part)
    if not of_stream:
        keep_private(options, request.show_room)
    state = FeedState.WAITING if request.running else FeedState.STOPPED
    feed = Feed(
        id=str(uuid4()), owner=owner, name=request.name, source=str(source), insecure=request.insecure,
        width=request.width, height=request.height, outputs=outputs, options=options, state=state,
    )  # fmt: skip
    return feed, FeedSecrets(source.url, secrets, request.source_token)


def _unmatted(part: PartialOptions) -> PartialOptions:
    """The options with the default background of a stream, which is matted already: none. Its viewers may see all of
    it, so no option shows more."""
    return part | {"background": "none"} if part.get("background", "") is None else part


def digest(request: FeedRequest) -> str:
    """Identifies a request, secrets included, among those with one `Idempotency-Key`."""
    text = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


async def changed_feed(here: Context, feed: Feed, change: FeedChange) -> tuple[Feed, bool, dict[str, OutputSecret]]:
    """The feed with the change, whether it shall run, and the secrets of new outputs. Raises Problem 422."""
    added, secrets = await _outputs(here, "outputs.add", change.outputs.add)
    kept = _kept_outputs(feed, change.outputs)
    if len(kept) + len(added) > limits.FEED_OUTPUTS:
        raise Problem(422, "invalid", f"a feed has at most {limits.FEED_OUTPUTS} outputs", field="outputs.add")
    of_stream = feed.source.partition(":")[0] == STREAM
    part = _unmatted(change.options) if of_stream else change.options
    options = await in_thread(read_options, here.settings, here.background_store, feed.owner, feed.options, part)
    if {"background", "view"} & set(part) and not of_stream:
        keep_private(options, change.show_room)
    name = feed.name if change.name is None else change.name
    run = feed.state is not FeedState.STOPPED if change.running is None else change.running
    return feed.model_copy(update={"name": name, "options": options, "outputs": (*kept, *added)}), run, secrets


def _kept_outputs(feed: Feed, changes: OutputChanges) -> list[FeedOutput]:
    """The outputs that stay, paused and resumed as requested. Raises Problem 422 for an unknown id."""
    known = {output.id for output in feed.outputs}
    for field in ("remove", "pause", "resume"):
        for number, id in enumerate(getattr(changes, field)):
            if id not in known:
                raise Problem(422, "invalid", "the feed has no output with this id", field=f"outputs.{field}.{number}")
    return [
        output.model_copy(
            update={"paused": (output.paused or output.id in changes.pause) and output.id not in changes.resume}
        )
        for output in feed.outputs
        if output.id not in changes.remove
    ]


async def _outputs(
    here: Context, field: str, requests: Sequence[FeedOutputIn]
) -> tuple[tuple[FeedOutput, ...], dict[str, OutputSecret]]:
    """New outputs and their secrets. field: of the list, for errors. Raises Problem 422."""
    outputs: list[FeedOutput] = []
    secrets: dict[str, OutputSecret] = {}
    for number, request in enumerate(requests):
        address = await _checked(here, f"{field}.{number}.address", request.address, _OUTPUTS)
        if request.token and address.scheme not in _TOKEN_SCHEMES:
            raise _token_problem(_TOKEN_SCHEMES, f"{field}.{number}.token")
        id = uuid4().hex[:8]
        kept = request.model_dump(include={"bitrate", "audio", "insecure", "paused"})
        outputs.append(FeedOutput(id=id, address=str(address), **kept))
        secrets[id] = OutputSecret(url=address.url, token=request.token)
    return tuple(outputs), secrets


def _token_problem(schemes: Collection[str], field: str) -> Problem:
    detail = f"a token is sent only to {' and '.join(sorted(schemes))} addresses"
    return Problem(422, "invalid", detail, field=field)


async def _checked(here: Context, field: str, text: str, schemes: Collection[str]) -> Address:
    """The address in a request, if it is allowed. Raises Problem 422, which does not quote it."""
    try:
        await in_network_thread(check_live_url, text, schemes, here.settings)
        return Address.read(text, (DEVICE, STREAM))
    except (FetchError, UsageError) as exc:
        raise Problem(422, FetchError.code, str(exc), field=field) from None
