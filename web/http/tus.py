"""The headers of tus 1.0: read and checked in requests, written in responses.

Knows nothing about where the bytes are stored.
"""

import base64
import binascii
import hashlib
import re
from email.utils import formatdate
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream import limits
from stream.records import http_paths
from web.http import openapi
from web.http.problems import Problem

PATH = http_paths.UPLOADS
VERSION = http_paths.TUS_VERSION
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
HASHES = ("sha1", "sha256", "md5")
_MAX_METADATA = 8192
_HERE = f"{VERSION}, the version of the protocol"
_CHECKSUM = f"{', '.join(HASHES)} and the digest of the body in base64?"
BODY_TYPES = (http_paths.TUS_TYPE, openapi.OCTETS)
_BYTES = openapi.binary(*BODY_TYPES)
CREATE_IN = openapi.body(_BYTES, required=False) | openapi.request_headers(
    Tus_Resumable=_HERE, Upload_Length="size of the whole file in bytes", Upload_Checksum=_CHECKSUM,
    Upload_Metadata="pairs of a name and a base64 value, separated by commas; `filename` becomes the title?",
)  # fmt: skip
CREATE_OUT: dict[int | str, dict[str, Any]] = {
    201: openapi.answer(
        "The upload exists.",
        Location="the upload",
        Upload_Expires="when it will be removed if nothing arrives",
        Upload_Offset="number of bytes stored, if the request had a body",
    )
}
HEAD_IN = openapi.request_headers(Tus_Resumable=_HERE)
HEAD_OUT: dict[int | str, dict[str, Any]] = {
    200: openapi.answer(
        "The state of the upload.",
        Upload_Offset="number of bytes stored",
        Upload_Length="size of the whole file",
        Upload_Metadata="as it was sent",
        Upload_Expires="when it will be removed if nothing arrives",
    )
}
APPEND_IN = openapi.body(_BYTES) | openapi.request_headers(
    Tus_Resumable=_HERE, Upload_Offset="number of bytes stored, where the body continues", Upload_Checksum=_CHECKSUM
)
APPEND_OUT: dict[int | str, dict[str, Any]] = {
    204: openapi.answer(
        "The bytes are stored.", Upload_Offset="number of bytes stored", Upload_Expires="when it will be removed"
    )
}


class TusHeaders:
    """Adds `Tus-Resumable` to every response below /api/uploads, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (http_paths.TUS_HEADER.lower().encode(), VERSION.encode())]
            await send(message)

        is_upload = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PATH}/")
        await self._app(scope, receive, add if is_upload else send)


def check_version(request: Request) -> None:
    """Raises Problem 412 unless the request has the supported tus version."""
    if request.headers.get(http_paths.TUS_HEADER) != VERSION:
        raise Problem(412, "tus_version", f"send {http_paths.TUS_HEADER}: {VERSION}", Tus_Version=VERSION)


def number(request: Request, header: str) -> int:
    """The header's value, a number of bytes. Raises Problem 400."""
    text = request.headers.get(header, "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Problem(400, "bad_header", f"{header.title()} must be a number of bytes", field=header.title())
    return int(text)


def title_of(metadata: str) -> str:
    """The file name in `Upload-Metadata`, made safe for display. Raises Problem 400."""
    if len(metadata) > _MAX_METADATA:
        raise Problem(400, "bad_header", f"Upload-Metadata is longer than {_MAX_METADATA} characters")
    try:
        pairs = dict(pair.strip().partition(" ")[::2] for pair in metadata.split(","))
        name = base64.b64decode(pairs.get("filename", ""), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        raise Problem(
            400, "bad_header", "the values in Upload-Metadata must be base64", field="Upload-Metadata"
        ) from None
    return "".join(c if c.isprintable() else " " for c in name).strip()[: limits.TITLE]


def checksum_of(request: Request) -> tuple[Any, bytes] | None:
    """A hash object and the expected digest from `Upload-Checksum`; None without one. Raises Problem 400."""
    kind, _, value = request.headers.get("upload-checksum", "").partition(" ")
    if not kind:
        return None
    try:
        expected = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        expected = b""
    if kind not in HASHES or not expected:
        raise Problem(400, "bad_header", f"Upload-Checksum must be one of {', '.join(HASHES)}, then the base64 digest")
    return hashlib.new(kind, usedforsecurity=False), expected


def expiry(expires_s: float) -> dict[str, str]:
    """The `Upload-Expires` header. expires_s: Unix time."""
    return {"Upload-Expires": formatdate(expires_s, usegmt=True)}
