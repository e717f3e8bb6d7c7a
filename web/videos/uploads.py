"""/api/uploads: resumable uploads by tus 1.0 (core, creation, creation-with-upload, termination, expiration, checksum).

The package tuspyserver is not used: version 4.4 blocks the event loop for up to 30 s while it waits for a lock, and
then answers 503; it does not fsync, appends to bytes that it rejected, reports a full disk as success, and does not
support owners.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from stream.errors import Fenced, TooLarge, disk_error
from stream.records.http_paths import TUS_TYPE
from stream.records.jobs import Media
from stream.records.upload_records import Busy
from web.context import Context, Here, Owner, spend
from web.http import tus
from web.http.bodies import Chunks
from web.http.disconnects import while_connected
from web.http.problems import Problem
from web.http.tus import EXTENSIONS, HASHES, PATH, VERSION, check_version, checksum_of, expiry, number, title_of
from web.stores.uploads import Draft, Rewound, Upload

router = APIRouter(prefix=PATH, tags=["uploads"])
_CREATED, _CREATED_WINDOW_S = 120, 60
_RETRY_S = 2


class UploadOut(BaseModel):
    """state: arriving, ready, or unusable, with the reason in `problem` (a code) and `detail`. expires_s: Unix time."""

    id: str
    title: str
    bytes: int
    offset: int
    state: str
    problem: str
    detail: str
    media: Media | None
    expires_s: float


@router.options("", status_code=204, include_in_schema=False)
@router.options("/{name}", status_code=204, include_in_schema=False)
async def capabilities(here: Here, name: str = "") -> Response:
    limit = str(here.settings.max_upload_bytes)
    headers = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": limit}
    return Response(status_code=204, headers=headers | {"Tus-Checksum-Algorithm": ",".join(HASHES)})


@router.post(
    "", status_code=201, response_class=Response, openapi_extra=tus.CREATE_IN, responses=tus.CREATE_OUT,
    operation_id="create_upload", summary="Create an upload (tus)",
)  # fmt: skip
async def create(request: Request, owner: Owner, here: Here) -> Response:
    """Create an upload of `Upload-Length` bytes. The body may contain its first bytes."""
    check_version(request)
    await spend_upload(here, request, owner)
    length, metadata = number(request, "upload-length"), request.headers.get("upload-metadata", "")
    title = title_of(metadata)
    try:
        upload = await here.upload_store.create(owner, length, metadata, title)
    except TooLarge as exc:
        raise Problem(413, exc.code, str(exc)) from None
    headers = {"Location": f"{PATH}/{upload.id}"}
    if request.headers.get("content-type") in tus.BODY_TYPES or not length:
        upload, offset = await _receive(here, request, upload, 0)
        headers["Upload-Offset"] = str(offset)
    return Response(status_code=201, headers=headers | expiry(upload.expires_s))


async def spend_upload(here: Context, request: Request, owner: str) -> None:
    """Count a new upload. Raises Problem 429 after too many in a short time."""
    await spend(here, request, "create", owner, _CREATED, _CREATED_WINDOW_S)


@router.head(
    "/{name}", response_class=Response, openapi_extra=tus.HEAD_IN, responses=tus.HEAD_OUT,
    operation_id="get_upload_offset", summary="Number of bytes stored (tus)",
)  # fmt: skip
async def offset_of(name: str, request: Request, owner: Owner, here: Here) -> Response:
    """The number of bytes received, from which the upload can continue."""
    check_version(request)
    upload = await owned(here, owner, name)
    async with store_problems():
        offset = await here.upload_store.offset(upload)
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(upload.bytes)} | expiry(upload.expires_s)
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return Response(status_code=200, headers=headers)


@router.get("/{name}", operation_id="get_upload", summary="An upload and its video")
async def get_upload(name: str, owner: Owner, here: Here) -> UploadOut:
    """The state of an upload, and the properties of its video once it is complete."""
    upload = await owned(here, owner, name)
    async with store_problems():
        offset = await here.upload_store.offset(upload)
    return UploadOut(**upload.model_dump(include=UploadOut.model_fields.keys() - {"offset"}), offset=offset)


@router.patch(
    "/{name}", status_code=204, openapi_extra=tus.APPEND_IN, responses=tus.APPEND_OUT,
    operation_id="append_to_upload", summary="Send bytes (tus)",
)  # fmt: skip
async def append(name: str, request: Request, owner: Owner, here: Here) -> Response:
    """Continue at `Upload-Offset`. After an interruption, HEAD returns the offset."""
    check_version(request)
    if request.headers.get("content-type") not in tus.BODY_TYPES:
        raise Problem(415, "content_type", f"the request body must be sent as {TUS_TYPE}")
    start = number(request, "upload-offset")
    upload, offset = await _receive(here, request, await owned(here, owner, name), start)
    return Response(status_code=204, headers={"Upload-Offset": str(offset)} | expiry(upload.expires_s))


@router.delete(
    "/{name}", status_code=204, openapi_extra=tus.HEAD_IN,
    operation_id="remove_upload", summary="Remove an upload (tus)",
)  # fmt: skip
async def remove(name: str, request: Request, owner: Owner, here: Here) -> Response:
    check_version(request)
    upload = await owned(here, owner, name)
    if any(job.source == upload.source for job in await here.jobs.unfinished(owner)):
        raise Problem(409, "in_use", "a job uses this upload; cancel the job first")
    async with store_problems():
        await here.upload_store.remove(upload)
    return Response(status_code=204)


@router.post("/{name}", status_code=204, include_in_schema=False)
async def overridden(name: str, request: Request, owner: Owner, here: Here) -> Response:
    """PATCH or DELETE, for clients that can only send POST."""
    methods = {"PATCH": append, "DELETE": remove}
    method = methods.get(request.headers.get("x-http-method-override", "").upper())
    if method is None:
        raise Problem(405, "method_not_allowed", "X-HTTP-Method-Override must be PATCH or DELETE")
    return await method(name, request, owner, here)


async def owned(here: Context, owner: str, name: str) -> Upload:
    """The owner's upload with this id. Raises Problem 404 if there is none, or it is another user's."""
    upload = await here.upload_store.get(owner, name)
    if upload is None:
        raise _missing()
    return upload


def _missing() -> Problem:
    return Problem(404, "not_found", "the upload does not exist, or no longer exists")


@asynccontextmanager
async def store_problems() -> AsyncIterator[None]:
    """Turns errors of the store into problems: 423 for a second writer, 404 for a missing upload, 507 for the disk."""
    try:
        yield
    except (Busy, Fenced) as exc:
        raise Problem(423, Busy.code, str(exc), retry_s=_RETRY_S) from None
    except Rewound as exc:
        raise _wrong_offset(exc.offset) from None
    except FileNotFoundError:
        raise _missing() from None
    except OSError as exc:
        raise disk_error(exc, "the upload") from exc


async def _receive(here: Context, request: Request, upload: Upload, start: int) -> tuple[Upload, int]:
    """Write the request body at `start`, and finish the upload if it is complete. Returns its record and offset."""
    if upload.state != "arriving":
        return _repeated(upload, start)
    checksum = checksum_of(request)
    async with store_problems():
        try:
            async with here.upload_store.open(upload, verified=checksum is not None) as draft:
                if start != draft.offset:
                    raise _wrong_offset(draft.offset)
                upload = await here.upload_store.touch(upload)
                await _write_body(request, draft, upload.bytes, here.settings.body_timeout_s)
                await draft.sync()
                if draft.offset == upload.bytes:
                    upload = await while_connected(request, here.upload_store.finish(upload, draft))
                return upload, draft.offset
        except FileNotFoundError:  # removed, or completed by another writer after its record was read
            upload = await owned(here, upload.owner, upload.id)
            if upload.state == "arriving":
                raise
            return _repeated(upload, start)


def _repeated(upload: Upload, start: int) -> tuple[Upload, int]:
    """The answer to a request for a complete upload, whose client may have missed the first answer. Raises Problem 409
    for any other offset than the end."""
    if start != upload.bytes:
        raise _wrong_offset(upload.bytes)
    return upload, start


async def _write_body(request: Request, draft: Draft, length: int, stall_s: float) -> None:
    """Write the request body, which may stall for `stall_s` seconds.

    If it ends early, the bytes received are kept, unless the request has a checksum.
    """
    start, checksum = draft.offset, checksum_of(request)
    body = Chunks(request, length - start, stall_s, "the body is longer than Upload-Length allows")
    try:
        async for chunk in body:
            if checksum:
                checksum[0].update(chunk)
            await draft.write(chunk)
    except (Problem, ClientDisconnect, OSError) as exc:
        if checksum or body.too_long:
            await draft.truncate(start)
        raise Problem(400, "cut_off", "the connection was lost") if isinstance(exc, ClientDisconnect) else exc from None
    except asyncio.CancelledError:  # the server is shutting down
        if checksum or body.too_long:
            await draft.truncate(start)
        raise
    if checksum and checksum[0].digest() != checksum[1]:
        await draft.truncate(start)
        raise Problem(460, "checksum", "the checksum does not match; send these bytes again")


def _wrong_offset(offset: int) -> Problem:
    detail = f"the upload has {offset} bytes; continue from there"
    return Problem(409, "wrong_offset", detail, Upload_Offset=str(offset))
