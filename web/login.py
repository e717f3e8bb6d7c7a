"""Signing in, and signed links for other people: POST, GET, DELETE /api/login and POST /api/links."""

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from web.context import Here, Owner, address_of
from web.http.auth import COOKIE, LOGIN_S
from web.http.problems import Problem

router = APIRouter(prefix="/api", tags=["users"])


class Credentials(BaseModel):
    """token: the user's access token."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"token": "s3cret"}]})
    token: str = Field(min_length=1, max_length=4096)


class CurrentUser(BaseModel):
    """tokens: whether users have to sign in. If not, `user` is ""."""

    user: str
    tokens: bool


@router.post("/login", status_code=204, operation_id="sign_in", summary="Sign in with a cookie")
async def sign_in(body: Credentials, request: Request, here: Here) -> Response:
    """Exchange a token for an HttpOnly, SameSite=Strict cookie."""
    user = await here.tokens.user_of(body.token, address_of(request))
    if user is None:
        raise Problem(401, "wrong_token", "no user has this token", WWW_Authenticate='Bearer realm="mattebox"')
    response = Response(status_code=204)
    note = here.gate.issue("login", user, "", LOGIN_S)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, note, max_age=LOGIN_S, httponly=True, samesite="strict", secure=secure)
    return response


@router.get("/login", operation_id="get_user", summary="The signed-in user")
async def current_user(owner: Owner, here: Here) -> CurrentUser:
    return CurrentUser(user=owner, tokens=not here.gate.open)


@router.delete("/login", status_code=204, operation_id="sign_out", summary="Sign out")
async def sign_out() -> Response:
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


class StreamLinkRequest(BaseModel):
    """kind: what the link allows. name: the stream."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"kind": "view", "name": "stage"}]})
    kind: Literal["view", "publish"]
    name: str = Field(pattern=f"^{limits.NAME}$")
    expires_s: Annotated[int, Field(ge=1, le=limits.STREAM_LINK_S, description="seconds until it expires")] = 3600


class StreamLink(BaseModel):
    """url: for a player (WHEP) or an encoder (WHIP). token: the bearer token in it, which OBS has a separate field for.
    page: the viewer's page, obs: that for a browser source in OBS, transparent around the subject; "" for a publisher's
    link. expires_s: Unix time."""

    url: str
    token: str
    page: str
    obs: str
    expires_s: float


@router.post("/links", status_code=201, operation_id="create_stream_link", summary="Create a link to a stream")
async def create_link(body: StreamLinkRequest, request: Request, owner: Owner, here: Here) -> StreamLink:
    token = here.gate.issue(body.kind, owner, body.name, body.expires_s)
    base = str(request.base_url).rstrip("/")
    endpoint = "whep" if body.kind == "view" else "whip"
    own = f"{body.name}#token={token}"  # in the fragment, which is not sent to servers and so never logged
    return StreamLink(
        url=f"{base}/{endpoint}/{body.name}?token={token}",
        token=token,
        page=f"{base}/view/{own}" if body.kind == "view" else "",
        obs=f"{base}/obs/{own}" if body.kind == "view" else "",
        expires_s=round(time.time() + body.expires_s, 3),
    )
