"""Send an object of the storage, or a part of it, as HTTP says (RFC 9110, 13 and 14): ranges, ETag, conditions.

Several ranges at once are answered by the whole, which the RFC allows; no player asks for them.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from stream.storage import Storage
from web.http.problems import Problem
from web.http.threads import in_thread

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def send(request: Request, storage: Storage, key: str, etag: str, headers: Mapping[str, str]) -> Response:
    """The object at `key`. Raises Problem 404 where it is gone, 416 for a range beyond its end."""
    try:
        size = await in_thread(storage.size, key)
    except FileNotFoundError:
        raise Problem(404, "not_found", "it is not there, or no longer") from None
    said = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache", **headers}
    if etag in (tag.strip() for tag in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=said)
    part = _part(request.headers, size, etag) if request.method == "GET" else None  # 14.2: for no other method
    start, end = part or (0, size)
    if part:
        said["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    said["Content-Length"] = str(end - start)
    status = 206 if part else 200
    if request.method == "HEAD" or start == end:
        return Response(status_code=status, headers=said)
    return StreamingResponse(storage.read(key, start, end - start), status, said)


def _part(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """First byte and the one after the last; None: the whole. Raises Problem 416."""
    asked = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if asked is None or asked.groups() == ("", "") or headers.get("if-range", etag) != etag:
        return None
    first, last = asked.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise Problem(416, "range", f"it has {size} bytes", Content_Range=f"bytes */{size}")
    return start, end


def disposition(name: str, attached: bool) -> str:
    """Content-Disposition with the name as it is for those who know RFC 6266, and in ASCII for the others."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return f"{'attachment' if attached else 'inline'}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
