"""/api/feeds: create, list, change and remove feeds, which workers run until they are removed."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, Field

from stream import limits
from stream.errors import FeedChanged, FeedNameTaken, KeyReused, NoFeed, TooManyFeeds
from stream.records import http_paths
from stream.records.feeds import REASONS, Audio, Feed, FeedOutput, FeedState, OutputReport
from stream.records.live import Meters
from stream.records.versions import NEWER_DETAIL
from web.context import Context, Here, Owner, spend
from web.http import openapi
from web.http.paging import cursor_problems, page_response
from web.http.problems import Problem
from web.live.feed_requests import FeedChange, FeedRequest, changed_feed, digest, new_feed
from web.read_options import check_known, public_options

PATH = http_paths.FEEDS
router = APIRouter(prefix=PATH, tags=["feeds"])
_CREATED: dict[int | str, dict[str, Any]] = {201: openapi.answer("The feed.", Location="the feed")}
_PAGE: dict[int | str, dict[str, Any]] = {200: openapi.answer("A page of the list.", Link='rel="next": the next page')}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: openapi.answer("The picture.", openapi.binary("image/jpeg"), ETag="of this picture"),
    204: openapi.answer("The feed sends nothing now."),
}
_CREATES, _CREATES_WINDOW_S = 300, 60
_PICTURES, _PICTURES_WINDOW_S = 1200, 60  # 40 feeds every 2 s
_COPIED = {"id", "name", "width", "height", "state", "reason", "worker", "created_s", "updated_s"}
_ATTEMPTS = 5  # of a change, while others change the same feed


class SourceOut(BaseModel):
    """address: without user, password and query. state: connecting, live or reconnecting; empty while no worker runs
    the feed. reason: why the connection was lost."""

    address: str
    insecure: bool
    state: str
    reason: str


class FeedOutputOut(BaseModel):
    """address: without anything that may be secret. state: connecting, live, reconnecting, paused or ended; empty while
    no worker runs the feed. since_s: seconds in this state. bitrate: the requested one; bitrate_bps: what is sent.
    reconnects: lost connections that were made again. latency_ms: median from a frame's arrival to its being sent; 0
    where unknown."""

    id: str
    address: str
    bitrate: int | None
    audio: Audio
    insecure: bool
    paused: bool
    state: str
    reason: str
    frames: int
    dropped: int
    bitrate_bps: int
    since_s: float
    reconnects: int
    latency_ms: float


class FeedOut(BaseModel):
    """state: waiting (for a worker), running, stopped or failed. reason, detail: why it failed, as a code and in words;
    also why it waits, if its workers died repeatedly. started_s: when its worker took it, in Unix time; 0 while no
    worker runs it."""

    id: str
    name: str
    state: FeedState
    reason: str
    detail: str
    source: SourceOut
    width: int
    height: int
    outputs: list[FeedOutputOut]
    options: dict[str, Any]
    worker: str
    created_s: float
    updated_s: float
    started_s: float
    meters: Meters | None


class FeedList(BaseModel):
    """next: the `cursor` of the next page; null on the last page."""

    feeds: list[FeedOut]
    next: str | None = Field(description="cursor")


def feed_out(here: Context, feed: Feed) -> FeedOut:
    """A feed as its owner may read it: without secrets and paths of the server."""
    reports = {report.id: report for report in feed.report.outputs}
    running = feed.state is FeedState.RUNNING
    return FeedOut(
        **feed.model_dump(include=_COPIED),
        detail=feed.detail or REASONS.get(feed.reason, NEWER_DETAIL if feed.newer else ""),
        source=SourceOut(
            address=feed.source,
            insecure=feed.insecure,
            state=feed.report.source_state,
            reason=feed.report.source_reason,
        ),
        outputs=[_output(output, reports.get(output.id)) for output in feed.outputs],
        options=public_options(here.background_store, feed.options),
        started_s=feed.claimed_s if running else 0.0,
        meters=feed.report.meters,
    )


def _output(output: FeedOutput, report: OutputReport | None) -> FeedOutputOut:
    measured = report.model_dump(exclude={"id"}) if report else OutputReport(id="").model_dump(exclude={"id"})
    return FeedOutputOut(**output.model_dump(), **measured | ({} if report else {"state": ""}))


async def owned(here: Context, owner: str, id: str) -> Feed:
    """The owner's feed with this id. Raises Problem 404 if there is none, or it is another user's."""
    feed = await here.feeds.feed(id) if limits.RECORD_ID.fullmatch(id) else None
    if feed is None or feed.owner != owner:
        raise _not_found()
    return feed


def _not_found() -> Problem:
    return Problem(404, "not_found", "there is no such feed")


@asynccontextmanager
async def _store_problems() -> AsyncIterator[None]:
    """Turns the errors of the store into problems."""
    try:
        yield
    except NoFeed:
        raise _not_found() from None
    except TooManyFeeds as exc:
        raise Problem(429, exc.code, str(exc), retry_s=30) from None
    except FeedNameTaken as exc:
        raise Problem(409, exc.code, str(exc), field="name") from None
    except KeyReused as exc:
        raise Problem(422, exc.code, str(exc), field="Idempotency-Key") from None


@router.post("", status_code=201, responses=_CREATED, operation_id="create_feed", summary="Create a feed")
async def create(
    body: FeedRequest,
    request: Request,
    response: Response,
    owner: Owner,
    here: Here,
    idempotency_key: Annotated[str, Header(max_length=255)] = "",
) -> FeedOut:
    """Create a feed, which the next worker with capacity runs until it is removed. Repeating the request with the same
    `Idempotency-Key` within 24 h is safe: it returns the existing feed."""
    await spend(here, request, "feed", owner, _CREATES, _CREATES_WINDOW_S)
    feed, secrets = await new_feed(here, owner, body)
    async with _store_problems():
        most = here.settings.feeds_per_user
        created = await here.feeds.create(feed, secrets, most, idempotency_key, digest(body))
    response.headers["Location"] = f"{PATH}/{created.id}"
    return feed_out(here, created)


@router.get("", response_model=FeedList, responses=_PAGE, operation_id="list_feeds", summary="List your feeds")
async def list_feeds(
    owner: Owner,
    here: Here,
    limit: Annotated[int, Query(ge=1, le=limits.FEEDS_PAGE_MOST, description="feeds per page")] = limits.FEEDS_PAGE,
    cursor: Annotated[str, Query(max_length=64, description="`next` of the page before; empty: the newest")] = "",
) -> Response:
    """Your feeds, newest first. `Link: rel="next"` has the address of the next page."""
    with cursor_problems():
        page = await here.feeds.page(owner, limit, cursor)
    listed = FeedList(feeds=[feed_out(here, feed) for feed in page.feeds], next=page.next or None)
    return page_response(listed, PATH, limit, page.next)


@router.get("/{id}", operation_id="get_feed", summary="A feed")
async def get_feed(id: str, owner: Owner, here: Here) -> FeedOut:
    return feed_out(here, await owned(here, owner, id))


@router.get(
    "/{id}/picture", response_class=Response, responses=_PICTURE,
    operation_id="get_feed_picture", summary="What a feed sends now",
)  # fmt: skip
async def picture(
    id: str,
    request: Request,
    owner: Owner,
    here: Here,
    if_none_match: Annotated[str, Header(max_length=255, description="`ETag` of the picture that you have")] = "",
) -> Response:
    """A small picture of what the feed's outputs get now, as JPEG, at most 320 pixels on its longer side: for a preview
    every few seconds. It is made for this request, and not stored. 204 while the feed does not run; 304 if you have
    this picture."""
    await spend(here, request, "picture", owner, _PICTURES, _PICTURES_WINDOW_S)
    feed = await owned(here, owner, id)
    content = await here.feed_pictures.picture(feed.worker, feed.id) if feed.state is FeedState.RUNNING else b""
    if not content:
        return Response(status_code=204)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(content, media_type="image/jpeg", headers={"ETag": tag})


@router.patch("/{id}", operation_id="change_feed", summary="Change, start or stop a feed")
async def change(id: str, body: FeedChange, owner: Owner, here: Here) -> FeedOut:
    """Change options and outputs of a feed, also while it runs; start and stop it. An output that is not changed is not
    interrupted."""
    for _ in range(_ATTEMPTS):
        feed = await owned(here, owner, id)
        check_known(feed)
        wanted, run, secrets = await changed_feed(here, feed, body)
        async with _store_problems():
            try:
                return feed_out(here, await here.feeds.change(wanted, run, secrets, body.outputs.remove))
            except FeedChanged:
                continue
    raise Problem(409, FeedChanged.code, "the feed was changed at the same time; try again", retry_s=1)


@router.delete("/{id}", status_code=204, operation_id="remove_feed", summary="Remove a feed")
async def remove(id: str, owner: Owner, here: Here) -> Response:
    """End the feed and its outputs, and forget its addresses."""
    feed = await owned(here, owner, id)
    async with _store_problems():
        await here.feeds.remove(feed.id)
    return Response(status_code=204)
