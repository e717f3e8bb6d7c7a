"""/api/sessions: send a camera and receive its matted video on one connection; list, change and end sessions."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.records.live import DELETED, REASONS, REPLACED, Meters, Session, SessionKind
from stream.records.options import Options
from stream.records.versions import NEWER_DETAIL
from web.context import Anyone, Context, Here, Owner, spend_offer
from web.http import openapi
from web.http.guard import MAX_BODY
from web.http.problems import Problem
from web.http.threads import in_thread
from web.live.offers import check_offer, ice, new_session, owned, place
from web.privacy import keep_private
from web.read_options import check_known, public_options, read_options

router = APIRouter(prefix="/api", tags=["sessions"])

Sdp = Annotated[str, Field(min_length=1, max_length=MAX_BODY)]
Part = Annotated[
    dict[str, Any],
    Field(
        description="engine; background: color:#rrggbb, green, blur[:0-1], gallery:NAME, upload:ID, transparent, none; "
        "view; temporal; key; subjects: a list of texts, each as [NAME=][not:]PROMPT, or of objects with name, keep, "
        "prompts; chooser; and all other fields of Options. null resets an option to its default"
    ),
]


_CREATED: dict[int | str, dict[str, Any]] = {201: openapi.answer("The answer.", Location="the session")}


class OfferIn(BaseModel):
    """The offer of a camera."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"sdp": "v=0\r\n…", "options": {"background": "blur:0.7"}}]}
    )
    sdp: Sdp
    type: Literal["offer"] = "offer"
    options: Part = Field(default_factory=dict)
    replaces: str | None = Field(None, max_length=limits.ID, description="id of a session of yours to end first")


class AnswerOut(BaseModel):
    id: str
    sdp: str
    type: Literal["answer"] = "answer"


class SessionChange(BaseModel):
    """options: those to change. show_room: allow a stream's viewers to see the room (background none, views overlay
    and side-by-side)."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"options": {"background": "color:#1f2937", "temporal": None}}]}
    )
    options: Part
    show_room: bool = False


class SessionOut(BaseModel):
    """state: offered, connecting or live; ended, failed and lost are final. reason: a code for why it ended, which
    `detail` explains."""

    id: str
    kind: SessionKind
    name: str
    state: str
    reason: str
    detail: str
    options: dict[str, Any]
    worker: str
    created_s: float
    updated_s: float
    meters: Meters | None


class Sessions(BaseModel):
    sessions: list[SessionOut]


def _public(here: Context, session: Session) -> SessionOut:
    """The session without what clients must not see: its owner and the server's paths."""
    return SessionOut(
        **session.model_dump(include={"id", "kind", "name", "reason", "worker", "created_s", "updated_s", "meters"}),
        state=session.state.value,
        detail=REASONS.get(session.reason, NEWER_DETAIL if session.newer else ""),
        options=public_options(here.background_store, session.options),
    )


@router.post("/sessions", status_code=201, responses=_CREATED, operation_id="start_session", summary="Start live video")
async def start(body: OfferIn, request: Request, response: Response, owner: Owner, here: Here) -> AnswerOut:
    """Offer a camera. Answers as soon as a worker takes it, within 10 s; 503 if no worker has capacity."""
    await spend_offer(here, request, owner)
    check_offer(body.sdp, SessionKind.CAMERA)
    options = await in_thread(read_options, here.settings, here.background_store, owner, Options(), body.options)
    if body.replaces:
        await _end(here, owner, body.replaces)
    session = new_session(SessionKind.CAMERA, owner, options)
    sdp = await place(here, session, body.sdp)
    response.headers["Location"] = f"/api/sessions/{session.id}"
    return AnswerOut(id=session.id, sdp=sdp)


async def _end(here: Context, owner: str, id: str) -> None:
    """End the session that a new one replaces. If it no longer exists, that is no error."""
    try:
        session = await owned(here, owner, id)
    except Problem:
        return
    if not session.state.final:
        await here.store.end(session.id, REPLACED)


@router.get("/sessions", operation_id="list_sessions", summary="List your sessions")
async def list_sessions(owner: Owner, here: Here) -> Sessions:
    """Your sessions of every kind. Ended ones are listed for ten minutes."""
    return Sessions(sessions=[_public(here, s) for s in await here.store.sessions(owner)])


@router.get("/sessions/{name}", operation_id="get_session", summary="A session")
async def get_session(name: str, owner: Owner, here: Here) -> SessionOut:
    return _public(here, await owned(here, owner, name))


@router.patch("/sessions/{name}", operation_id="change_session", summary="Change options while live")
async def change(name: str, body: SessionChange, owner: Owner, here: Here) -> SessionOut:
    """Change some options of a running session; the others stay as they are."""
    session = await owned(here, owner, name)
    if session.state.final:
        raise Problem(409, "over", f"the session is {session.state.value}")
    if session.kind is SessionKind.VIEW:
        raise Problem(409, "viewer", "viewers have no options; change those of the stream")
    check_known(session)
    options = await in_thread(read_options, here.settings, here.background_store, owner, session.options, body.options)
    if session.kind is SessionKind.PUBLISH and {"background", "view"} & set(body.options):
        keep_private(options, body.show_room)
    return _public(here, await here.store.change(session.id, options))


@router.delete("/sessions/{name}", status_code=204, operation_id="end_session", summary="End a session")
async def end(name: str, owner: Owner, here: Here) -> Response:
    """End the session. Ending a session that is over is no error."""
    session = await owned(here, owner, name)
    if not session.state.final:
        await here.store.end(session.id, DELETED)
    return Response(status_code=204)


class IceServers(BaseModel):
    iceServers: list[dict[str, Any]]  # noqa: N815 - the name in RTCPeerConnection's configuration


@router.get("/ice-servers", operation_id="get_ice_servers", summary="STUN and TURN servers")
async def ice_list(visitor: Anyone, here: Here) -> IceServers:
    """ICE servers for a page's `RTCPeerConnection`; viewers may ask too. TURN credentials are valid for an hour."""
    return IceServers(iceServers=ice(here.settings, visitor.owner))
