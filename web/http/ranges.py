"""Serve objects from storage with conditional and range requests (RFC 9110, sections 13 and 14).

A request for several ranges gets the whole object, which the RFC allows; players do not send such requests.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from stream.storage import Storage
from web.http import openapi
from web.http.problems import Problem
from web.http.threads import in_thread, pieces

_BYTES = openapi.binary(openapi.OCTETS)
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: openapi.answer("The file, with the media type of its format.", _BYTES, ETag="for If-Range and If-None-Match"),
    206: openapi.answer("The part that the Range header asks for.", _BYTES, Content_Range="its place in the file"),
}
"""Describes the answers of `send`."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def send(request: Request, storage: Storage, key: str, etag: str, headers: Mapping[str, str]) -> Response:
    """Respond with the object at `key`. Raises Problem 404 if it is missing, 416 if the range is beyond its end."""
    try:
        size = await in_thread(storage.size, key)
    except FileNotFoundError:
        raise Problem(404, "not_found", "the file does not exist, or no longer exists") from None
    response_headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache", **headers}
    if _has(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=response_headers)
    part = _part(request.headers, size, etag) if request.method == "GET" else None  # section 14.2: GET only
    start, end = part or (0, size)
    if part:
        response_headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    response_headers["Content-Length"] = str(end - start)
    status = 206 if part else 200
    if request.method == "HEAD" or start == end:
        return Response(status_code=status, headers=response_headers)
    return StreamingResponse(pieces(storage.read(key, start, end - start)), status, response_headers)


def _has(if_none_match: str, etag: str) -> bool:
    """Whether the client has this object. Proxies may have made its tag weak (section 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags


def _part(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """The requested bytes as [start, end), or None for the whole object. Raises Problem 416."""
    match = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if match is None or match.groups() == ("", "") or headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise Problem(416, "range", f"the file has {size} bytes", Content_Range=f"bytes */{size}")
    return start, end


def disposition(name: str, attached: bool) -> str:
    """A Content-Disposition header with the UTF-8 name of RFC 6266 and an ASCII fallback."""
    ascii_name = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return (
        f"{'attachment' if attached else 'inline'}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
    )
