"""The description of the HTTP API, /openapi.json: what FastAPI cannot derive from the routes.

Every operation has a unique id, which generated clients use as the name of a function, and every error is
described as problem+json.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.security import APIKeyCookie, APIKeyQuery, HTTPBearer

from stream.records.live import NO_WORKER
from web.http.auth import COOKIE
from web.http.problems import MEDIA_TYPE

BEARER = HTTPBearer(scheme_name="token", description="the user's access token", auto_error=False)
SIGNED_IN = APIKeyCookie(
    name=COOKIE, scheme_name="cookie", description="from POST /api/login, for browsers", auto_error=False
)
LINK = APIKeyQuery(
    name="token", scheme_name="link", description="the signed token of a link, for players", auto_error=False
)
OCTETS = "application/octet-stream"
"""Accepted wherever a body has a media type of its own: generated clients often send bytes as no other type."""
_BINARY = {"type": "string", "format": "binary"}
_TEXT = {"type": "string"}
_TAGS = {
    "sessions": "Live video: send a camera, receive its matted video on the same connection, change its options.",
    "WHIP and WHEP": "Publish a live stream (RFC 9725) and view it, with any client of these protocols.",
    "feeds": "Live streams from a camera or server, matted and sent on: to RTMP, SRT, RTSP, WHIP and others.",
    "uploads": "Resumable uploads of videos by tus 1.0. Any tus client works.",
    "jobs": "Process videos: submit, watch, play and download.",
    "backgrounds": "The gallery, and pictures and videos of your own.",
    "users": "Sign in, and create signed links for other people.",
    "operations": "Health and metrics, for those who run the service.",
}
_PROBLEM = {
    "title": "Problem",
    "description": "An error, as RFC 9457 describes it.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "description": "urn:mattebox:problem: and the code"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "the kind of error, for programs"},
        "detail": {"type": "string", "description": "a sentence for people"},
        "errors": {
            "type": "array",
            "description": "the fields that are wrong",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
    "examples": [
        {
            "type": f"urn:mattebox:problem:{NO_WORKER}",
            "title": "Service Unavailable",
            "status": 503,
            "code": NO_WORKER,
            "detail": "no worker has capacity for this video now; wait until another video ends",
        }
    ],
}
_ERROR = {
    "description": "An error. Its `code` says which one.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    "headers": {"Retry-After": {"description": "seconds to wait, with 429 and 503", "schema": {"type": "integer"}}},
}


def binary(*media_types: str) -> dict[str, Any]:
    """A body of bytes, as part of a response or of a request."""
    return {"content": {media_type: {"schema": _BINARY} for media_type in media_types}}


def text(*media_types: str) -> dict[str, Any]:
    """A body of text other than JSON."""
    return {"content": {media_type: {"schema": _TEXT} for media_type in media_types}}


def body(content: dict[str, Any], required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route whose request body FastAPI does not read. content: `binary` or `text`."""
    return {"requestBody": {"required": required} | content}


def request_headers(**descriptions: str) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads these headers itself: `_` stands for `-`; "?" at the end: optional."""
    return {
        "parameters": [
            {
                "name": name.replace("_", "-"),
                "in": "header",
                "required": not description.endswith("?"),
                "description": description.removesuffix("?"),
                "schema": _TEXT,
            }
            for name, description in descriptions.items()
        ]
    }


def answer(description: str, content: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """One entry of a route's `responses`. headers: descriptions by name, in which `_` stands for `-`."""
    named = {name.replace("_", "-"): {"description": value, "schema": _TEXT} for name, value in headers.items()}
    return {"description": description} | (content or {}) | ({"headers": named} if named else {})


def install(app: FastAPI) -> None:
    """Replace FastAPI's description of `app` by ours. It is built once, on the first request for it."""

    def description() -> dict[str, Any]:
        app.openapi_schema = app.openapi_schema or _description(app)
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]  # FastAPI's documented way


def _description(app: FastAPI) -> dict[str, Any]:
    tags = [{"name": name, "description": sentence} for name, sentence in _TAGS.items()]
    schema = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes,
        tags=tags,
    )  # fmt: skip
    schemas = schema["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own format of errors
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _ERROR
    return schema
