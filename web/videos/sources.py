"""GET /api/uploads/{id}/source: the video of an upload, to play it beside its result."""

import mimetypes

from fastapi import APIRouter, Request, Response

from web.context import Here, Owner
from web.http import openapi
from web.http.problems import Problem
from web.http.ranges import RESPONSES, disposition, send
from web.http.tus import PATH
from web.stores.uploads import Upload
from web.videos.uploads import owned

router = APIRouter(prefix=PATH, tags=["uploads"])
_UNSAFE = ("image/svg+xml",)  # may contain scripts


@router.head("/{name}/source", include_in_schema=False)
@router.get(
    "/{name}/source", response_class=Response, responses=RESPONSES,
    operation_id="get_upload_source", summary="Play an uploaded video",
)  # fmt: skip
async def source(name: str, request: Request, owner: Owner, here: Here) -> Response:
    """The uploaded video as it was sent. Supports range requests, so that players can seek."""
    upload = await owned(here, owner, name)
    if upload.state != "ready":
        raise Problem(409, "not_ready", f"the upload is {upload.state}")
    headers = {"Content-Type": media_type(upload.title), "Content-Disposition": disposition(_file_name(upload), False)}
    return await send(request, here.storage, upload.source, f'"{upload.id}"', headers)


def media_type(title: str) -> str:
    """The media type of a file with this name. Types that are neither video nor picture are not passed on, because a
    browser would run some of them."""
    found = mimetypes.guess_type(title)[0] or ""
    return found if found.startswith(("video/", "image/")) and found not in _UNSAFE else openapi.OCTETS


def _file_name(upload: Upload) -> str:
    return upload.title.replace("/", "_").replace("\\", "_") or "video"
