"""GET, POST and DELETE /api/backgrounds: the backgrounds to choose from, including a user's own uploads."""

from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from stream import private
from stream.errors import BackgroundError, TooLarge, disk_error
from stream.records import http_paths
from stream.records.jobs import Job
from web.context import Context, Here, Owner, spend
from web.http import openapi
from web.http.bodies import Chunks
from web.http.problems import Problem
from web.http.threads import in_picture_thread, in_thread
from web.stores.backgrounds import TooManyBackgrounds
from web.stores.painted_backgrounds import PICTURES

PATH = http_paths.BACKGROUNDS
router = APIRouter(prefix=PATH, tags=["backgrounds"])
_UPLOADS, _UPLOADS_WINDOW_S = 30, 60
_BODY = openapi.body(openapi.binary(openapi.OCTETS))
_ADDED: dict[int | str, dict[str, Any]] = {201: openapi.answer("The new background.", Location="its thumbnail")}
_JPEG: dict[int | str, dict[str, Any]] = {200: openapi.answer("A small picture.", openapi.binary("image/jpeg"))}


class BackgroundChoice(BaseModel):
    """spec: what to send as `background`. thumbnail: a JPEG's URL or "". own: an upload of the user, with its id."""

    spec: str
    title: str
    kind: Literal["blur", "color", "image", "video", "transparent"]
    thumbnail: str = ""
    own: bool = False
    id: str = ""


class Backgrounds(BaseModel):
    backgrounds: list[BackgroundChoice]


_BUILT_IN = (
    BackgroundChoice(spec="blur:0.3", title="Slight blur", kind="blur"),
    BackgroundChoice(spec="blur:0.7", title="Strong blur", kind="blur"),
    BackgroundChoice(spec="color:#f4f1ea", title="Ivory", kind="color"),
    BackgroundChoice(spec="color:#1f2937", title="Slate", kind="color"),
    BackgroundChoice(spec="color:#00ff00", title="Green", kind="color"),
    BackgroundChoice(spec="transparent", title="Transparent", kind="transparent"),
)


@router.get("", operation_id="list_backgrounds", summary="List backgrounds")
async def choices(owner: Owner, here: Here) -> Backgrounds:
    gallery = [
        BackgroundChoice(
            spec=f"gallery:{n}", title=n.capitalize(), kind="image", thumbnail=f"{PATH}/gallery/{n}/thumbnail"
        )
        for n in PICTURES
    ]
    own = await in_thread(here.background_store.uploads, owner)
    uploads = [_own(upload.id, upload.kind, n) for n, upload in enumerate(own, 1)]
    return Backgrounds(backgrounds=[*_BUILT_IN, *gallery, *uploads])


def _own(id: str, kind: Literal["image", "video"], number: int) -> BackgroundChoice:
    title = f"My {'picture' if kind == 'image' else 'video'} {number}"
    return BackgroundChoice(
        spec=f"upload:{id}", title=title, kind=kind, thumbnail=f"{PATH}/{id}/thumbnail", own=True, id=id
    )


@router.post(
    "", status_code=201, openapi_extra=_BODY, responses=_ADDED,
    operation_id="add_background", summary="Add a picture or video of your own",
)  # fmt: skip
async def add(request: Request, response: Response, owner: Owner, here: Here) -> BackgroundChoice:
    """Upload the picture or video in the request body, with any Content-Type. The server detects its type and chooses
    its id."""
    await spend(here, request, "upload", owner, _UPLOADS, _UPLOADS_WINDOW_S)
    count = len(await in_thread(here.background_store.uploads, owner))
    if count >= here.settings.max_backgrounds:
        raise _full(count)
    draft = await in_thread(here.background_store.draft)
    try:
        await _receive(request, draft, here)
        upload = await in_picture_thread(here.background_store.keep, owner, draft)
    except TooLarge as exc:
        raise Problem(413, exc.code, str(exc)) from None
    except TooManyBackgrounds:
        raise _full(here.settings.max_backgrounds) from None
    except OSError as exc:
        raise disk_error(exc, "the background") from exc
    finally:
        draft.unlink(missing_ok=True)
        draft.with_suffix(".jpg").unlink(missing_ok=True)
    response.headers["Location"] = f"{PATH}/{upload.id}/thumbnail"
    return _own(upload.id, upload.kind, count + 1)


def _full(count: int) -> Problem:
    return Problem(409, TooManyBackgrounds.code, f"you have {count} backgrounds, which is the limit; delete one first")


async def _receive(request: Request, draft: Path, here: Context) -> None:
    """Write the request body to `draft`. Raises Problem 408, 413, OSError."""
    limit = here.settings.max_background_bytes
    too_large = f"the background is larger than {limit / 2**20:.0f} MiB"
    with private.create(draft) as file:
        async for chunk in Chunks(request, limit, here.settings.body_timeout_s, too_large):
            await in_thread(file.write, chunk)


@router.get(
    "/gallery/{name}/thumbnail", response_class=Response, responses=_JPEG,
    operation_id="get_gallery_thumbnail", summary="Thumbnail of a background of the gallery",
)  # fmt: skip
async def gallery_thumbnail(name: str, owner: Owner, here: Here) -> Response:
    try:
        picture = await in_picture_thread(here.background_store.gallery_thumbnail, name)
    except BackgroundError as exc:
        raise Problem(404, "not_found", str(exc)) from None
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})


@router.get(
    "/{name}/thumbnail", response_class=Response, responses=_JPEG,
    operation_id="get_background_thumbnail", summary="Thumbnail of your own background",
)  # fmt: skip
async def thumbnail(name: str, owner: Owner, here: Here) -> Response:
    try:
        picture = await in_thread(here.background_store.thumbnail, owner, name)
    except BackgroundError as exc:
        raise Problem(404, "not_found", str(exc)) from None
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})


@router.delete("/{name}", status_code=204, operation_id="remove_background", summary="Remove your own background")
async def remove(name: str, owner: Owner, here: Here) -> Response:
    spec = f"upload:{name}"
    if any(spec in _specs(here, job) for job in await here.jobs.unfinished(owner)):
        raise Problem(409, "in_use", "a video being processed uses this background; cancel it first")
    try:
        await in_thread(here.background_store.remove, owner, name)
    except BackgroundError as exc:
        raise Problem(404, "not_found", str(exc)) from None
    return Response(status_code=204)


def _specs(here: Context, job: Job) -> set[str]:
    """The specs of the job's backgrounds and the paths of its masks, in the form that clients send."""
    store, used = here.background_store, (job.options.background, *(output.background for output in job.outputs))
    masks = {store.public_mask(path) for subject in job.options.subjects for path in subject.masks}
    return masks | {store.public_spec(background) for background in used if background is not None}
