"""The headers of tus 1.0: what a request says in them, checked, and what an answer says.

Knows nothing about where the bytes go.
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
from stream.records import api
from web.http.problems import Problem

PATH = api.UPLOADS
VERSION = api.TUS_VERSION
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
HASHES = ("sha1", "sha256", "md5")
_MAX_METADATA = 8192


class TusHeaders:
    """Puts `Tus-Resumable` on every response below /api/uploads, refusals too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (api.TUS_HEADER.lower().encode(), VERSION.encode())]
            await send(message)

        ours = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PATH}/")
        await self._app(scope, receive, named if ours else send)


def check_version(request: Request) -> None:
    """Raises Problem 412."""
    if request.headers.get(api.TUS_HEADER) != VERSION:
        raise Problem(412, "tus_version", f"send {api.TUS_HEADER}: {VERSION}", Tus_Version=VERSION)


def number(request: Request, header: str) -> int:
    """Of bytes. Raises Problem 400."""
    text = request.headers.get(header, "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Problem(400, "bad_header", f"{header.title()} is a number of bytes", field=header.title())
    return int(text)


def title_of(metadata: str) -> str:
    """The user's name for the file out of `Upload-Metadata`, fit for display. Raises Problem 400."""
    if len(metadata) > _MAX_METADATA:
        raise Problem(400, "bad_header", f"Upload-Metadata may have {_MAX_METADATA} characters")
    try:
        words = dict(pair.strip().partition(" ")[::2] for pair in metadata.split(","))
        name = base64.b64decode(words.get("filename", ""), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        raise Problem(400, "bad_header", "Upload-Metadata holds base64", field="Upload-Metadata") from None
    return "".join(c if c.isprintable() else " " for c in name).strip()[: limits.TITLE]


def checksum_of(request: Request) -> tuple[Any, bytes] | None:
    """The hash to feed and what it is to come to. Raises Problem 400."""
    kind, _, value = request.headers.get("upload-checksum", "").partition(" ")
    if not kind:
        return None
    try:
        wanted = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        wanted = b""
    if kind not in HASHES or not wanted:
        raise Problem(400, "bad_header", f"Upload-Checksum is one of {', '.join(HASHES)}, and base64")
    return hashlib.new(kind, usedforsecurity=False), wanted


def expiry(expires_s: float) -> dict[str, str]:
    """expires_s: unix time."""
    return {"Upload-Expires": formatdate(expires_s, usegmt=True)}
