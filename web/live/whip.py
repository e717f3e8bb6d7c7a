"""WHIP (RFC 9725) at /whip/NAME for one publisher, and WHEP, its counterpart for viewers, at /whep/NAME.

After a network failure an encoder such as OBS sends a new offer while its old session still seems alive. So a new
publisher of the same owner takes the name over once its video arrives (the store does this), and only another owner's
is refused, with 409.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from stream.records.live import DELETED, Command, Session, SessionKind
from stream.records.options import Options
from web.context import Anyone, Context, Here, StreamName, spend_offer
from web.http import openapi
from web.http.auth import Visitor
from web.http.problems import Problem
from web.http.threads import in_thread
from web.live.offers import check_offer, ice, new_session, not_live, owned, place
from web.privacy import keep_private
from web.read_options import from_fields, read_options

router = APIRouter(tags=["WHIP and WHEP"])
PATHS = ("/whip/", "/whep/")
_SDP, _FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
_OFFER = openapi.body(openapi.binary(_SDP, openapi.OCTETS))
_ANSWER: dict[int | str, dict[str, Any]] = {
    201: openapi.answer(
        "The SDP answer.",
        openapi.text(_SDP),
        Location="the session: PATCH and DELETE it",
        ETag="for the If-Match header of PATCH",
        Link='ICE servers, with rel="ice-server"',
    )
}
_CLOSED: dict[int | str, dict[str, Any]] = {200: {"description": "The session has ended."}}
_CANDIDATES = openapi.body(openapi.binary(_FRAGMENT, openapi.OCTETS))
_TRICKLE_IN = _CANDIDATES | openapi.request_headers(If_Match="the ETag of the session, or *")
_TRICKLE_OUT = _CANDIDATES | openapi.request_headers(If_Match="the ETag of the session, or *?")
Alpha = Annotated[
    Literal["stacked"] | None,
    Query(description="stacked: colour above alpha in one picture of double height, whatever the background"),
]
_MEDIA_RANGE = re.compile(r"\s*(\*/\*|application/\*|application/sdp)\s*(;|$)", re.IGNORECASE)
_SDP_LINE = re.compile(r"[a-z]=\S")
_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)", re.MULTILINE)
_EDGES = "edges."
_NOT_OPTIONS = frozenset({"token", "show_room"})  # the other parameters of the query


@router.post(
    "/whip/{name}", status_code=201, response_class=Response, openapi_extra=_OFFER, responses=_ANSWER,
    operation_id="publish_stream", summary="Publish a stream (WHIP)",
)  # fmt: skip
async def publish(name: StreamName, request: Request, visitor: Anyone, here: Here) -> Response:
    """Publish a stream. Options are query parameters, as in `?background=blur&engine=rvm&edges.feather=2`; `subjects`
    may be repeated. Options that show viewers the room (background none, views overlay and side-by-side) also need
    `show_room=true`."""
    owner = _allowed(visitor, "publish", name)
    await spend_offer(here, request, owner)
    sdp, ufrag = await _offer(request, SessionKind.PUBLISH)
    fields = [(key, value) for key, value in request.query_params.multi_items() if key not in _NOT_OPTIONS]
    part = _nested(from_fields(fields))
    options = await in_thread(read_options, here.settings, here.background_store, owner, Options(), part)
    keep_private(options, meant=request.query_params.get("show_room") == "true")
    session = new_session(SessionKind.PUBLISH, owner, options, name=name, ufrag=ufrag)
    return _created(here, session, await place(here, session, sdp), "whip", request)


def _nested(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a query. Fields of the group `edges` have names such as `edges.feather`."""
    edges = {key.removeprefix(_EDGES): value for key, value in parameters.items() if key.startswith(_EDGES)}
    others = {key: value for key, value in parameters.items() if not key.startswith(_EDGES)}
    return others | ({"edges": edges} if edges else {})


@router.post(
    "/whep/{name}", status_code=201, response_class=Response, openapi_extra=_OFFER, responses=_ANSWER,
    operation_id="view_stream", summary="View a stream (WHEP)",
)  # fmt: skip
async def view(name: StreamName, request: Request, visitor: Anyone, here: Here, alpha: Alpha = None) -> Response:
    """View a stream. 404 with Retry-After while nobody publishes it."""
    owner = _allowed(visitor, "view", name)
    await spend_offer(here, request, owner)
    sdp, ufrag = await _offer(request, SessionKind.VIEW)
    stream = await here.store.stream(name)
    if stream is None or stream.owner != owner:
        raise not_live()
    session = new_session(
        SessionKind.VIEW, owner, stream.options, name=name, of=stream.id, ufrag=ufrag, alpha=alpha or ""
    )
    return _created(here, session, await place(here, session, sdp), "whep", request)


@router.options("/whip/{name}", include_in_schema=False)
@router.options("/whep/{name}", include_in_schema=False)
async def endpoint_options(name: StreamName) -> Response:
    return Response(headers={"Allow": "OPTIONS, POST", "Accept-Post": _SDP})


@router.patch(
    "/whip/{name}/{session}", status_code=204, openapi_extra=_TRICKLE_IN,
    operation_id="add_publisher_candidates", summary="Send a publisher's further ICE candidates",
)  # fmt: skip
async def trickle_in(name: StreamName, session: str, request: Request, visitor: Anyone, here: Here) -> Response:
    return await _trickle(here, await _found(here, visitor, SessionKind.PUBLISH, name, session), request)


@router.patch(
    "/whep/{name}/{session}", status_code=204, openapi_extra=_TRICKLE_OUT,
    operation_id="add_viewer_candidates", summary="Send a viewer's further ICE candidates",
)  # fmt: skip
async def trickle_out(name: StreamName, session: str, request: Request, visitor: Anyone, here: Here) -> Response:
    return await _trickle(here, await _found(here, visitor, SessionKind.VIEW, name, session), request)


@router.delete(
    "/whip/{name}/{session}", response_class=Response, responses=_CLOSED,
    operation_id="unpublish_stream", summary="Stop publishing",
)  # fmt: skip
async def unpublish(name: StreamName, session: str, visitor: Anyone, here: Here) -> Response:
    return await _close(here, await _found(here, visitor, SessionKind.PUBLISH, name, session))


@router.delete(
    "/whep/{name}/{session}", response_class=Response, responses=_CLOSED,
    operation_id="leave_stream", summary="Stop viewing",
)  # fmt: skip
async def leave(name: StreamName, session: str, visitor: Anyone, here: Here) -> Response:
    return await _close(here, await _found(here, visitor, SessionKind.VIEW, name, session))


@router.options("/whip/{name}/{session}", include_in_schema=False)
@router.options("/whep/{name}/{session}", include_in_schema=False)
async def session_options(name: StreamName, session: str) -> Response:
    return Response(headers={"Allow": "DELETE, OPTIONS, PATCH", "Accept-Patch": _FRAGMENT})


def _allowed(visitor: Visitor, scope: Literal["publish", "view"], name: str) -> str:
    """The owner that the visitor acts for. Raises Problem 403 for a link with another scope or name."""
    if visitor.scope == "login" or (visitor.scope, visitor.name) == (scope, name):
        return visitor.owner
    raise Problem(403, "link_scope", f"this link is for {visitor.scope}ing {visitor.name!r} only")


async def _offer(request: Request, kind: SessionKind) -> tuple[str, str]:
    """The offer in the body, and its ICE user fragment. Raises Problem 400 or 422 if it is invalid, 406 or 415 for the
    wrong media type."""
    if _content_type(request) not in (_SDP, openapi.OCTETS):
        raise Problem(415, "content_type", f"the offer must be sent as {_SDP}", Accept_Post=_SDP)
    accept = request.headers.get("accept", "")
    if accept and not any(_MEDIA_RANGE.match(part) for part in accept.split(",")):
        raise Problem(406, "accept", f"the answer is {_SDP}")
    sdp = _text(await request.body(), "offer")
    return sdp, check_offer(sdp, kind).ufrag


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _text(body: bytes, what: str) -> str:
    """The body as text. Raises Problem 400 if it is not UTF-8 or is empty. what: its name in the error."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Problem(400, "bad_sdp", f"the {what} is not UTF-8 text") from None
    if not text.strip():
        raise Problem(400, "bad_sdp", f"the {what} is empty")
    return text


def _created(
    here: Context, session: Session, sdp: str, endpoint: Literal["whip", "whep"], request: Request
) -> Response:
    """A link's token in the request's address is in that of the session, too: its client sends no other credentials."""
    location = f"/{endpoint}/{session.name}/{session.id}"
    token = request.query_params.get("token", "")
    if here.gate.is_link(token):
        location += f"?token={token}"
    response = Response(sdp, 201, {"Location": location, "ETag": _etag(session)}, _SDP)
    for server in ice(here.settings, session.owner):
        for link in _links(server):
            response.headers.append("Link", link)
    return response


def _etag(session: Session) -> str:
    return f'"{session.id}"'


def _links(server: dict[str, Any]) -> list[str]:
    """The values of Link headers, one per URL (RFC 9725, section 4.6)."""
    urls = [server["urls"]] if isinstance(server["urls"], str) else server["urls"]
    credentials = [(key, server[key]) for key in ("username", "credential") if server.get(key)]
    parameters = "".join(f"; {key}={json.dumps(value)}" for key, value in credentials)
    if credentials:
        parameters += '; credential-type="password"'
    return [f'<{url}>; rel="ice-server"{parameters}' for url in urls]


async def _found(here: Context, visitor: Visitor, kind: SessionKind, name: str, session: str) -> Session:
    owner = _allowed(visitor, "publish" if kind is SessionKind.PUBLISH else "view", name)
    found = await owned(here, owner, session)
    if found.kind is not kind or found.name != name:
        raise Problem(404, "not_found", "there is no such session")
    return found


async def _trickle(here: Context, session: Session, request: Request) -> Response:
    """Pass further ICE candidates to the session's worker. ICE restarts are not supported: 422, as the RFC requires."""
    if _content_type(request) not in (_FRAGMENT, openapi.OCTETS):
        raise Problem(415, "content_type", f"candidates must be sent as {_FRAGMENT}", Accept_Patch=_FRAGMENT)
    _check_match(session, request)
    fragment = _text(await request.body(), "fragment")
    if not all(_SDP_LINE.match(line) for line in fragment.splitlines() if line):
        raise Problem(400, "bad_sdp", "the fragment is not SDP")
    if (ufrags := _UFRAG.findall(fragment)) and session.ufrag not in ufrags:
        raise Problem(422, "ice_restart", "ICE restarts are not supported; send a new offer", field="ice-ufrag")
    if session.state.final or not session.worker:
        raise Problem(409, "over", f"the session is {session.state.value}")
    await here.store.send(session.worker, Command(kind="candidates", session=session.id, text=fragment))
    return Response(status_code=204)


def _check_match(session: Session, request: Request) -> None:
    """Raises Problem 412 or 428 unless the request is for this session. `*` stands for any (RFC 9110, section 13.1.1).

    @eyevinn/whip-web-client sends the tag in the header ETag. Viewers need none: drafts of WHEP do not ask for it, and
    whip-whep sends none.
    """
    match = request.headers.get("if-match") or request.headers.get("etag")
    if match is None and session.kind is SessionKind.VIEW:
        return
    if match is None:
        raise Problem(428, "if_match", "the If-Match header is missing; it must hold the session's ETag")
    if match.strip() != "*" and _etag(session) not in (tag.strip() for tag in match.split(",")):
        raise Problem(412, "if_match", "these candidates are for another session")


async def _close(here: Context, session: Session) -> Response:
    if not session.state.final:
        await here.store.end(session.id, DELETED)
    return Response(status_code=200)
