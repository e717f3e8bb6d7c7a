"""/api/uploads: resumable uploads by tus 1.0 (core, creation, creation-with-upload, termination, expiration, checksum).

Our own and not tuspyserver's: its 4.4 waits for a lock inside the event loop, up to 30 s, and answers 503; it does not
sync, appends to bytes that it refused, reports a full disk as success, and knows no owners.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from stream.errors import TooLarge, disk_error
from stream.records.api import TUS_TYPE
from stream.records.jobs import Media
from web.context import Context, Here, Owner, spend
from web.http.problems import Problem
from web.http.threads import in_thread
from web.http.tus import EXTENSIONS, HASHES, PATH, VERSION, check_version, checksum_of, expiry, number, title_of
from web.kept.inbox import Busy, Draft, Upload

router = APIRouter(prefix=PATH, tags=["uploads"])
_SILENCE_S = 20.0  # a writer that says nothing for so long loses its place: its client may be back on another line
_GATHER = 2**20  # bytes written at once
_CREATED, _CREATED_WINDOW_S = 120, 60
_RETRY_S = 2


class UploadOut(BaseModel):
    """state: arriving, ready, or unusable, and then `problem` and `detail` say why. expires_s: unix time."""

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
async def abilities(here: Here, name: str = "") -> Response:
    limit = str(here.settings.max_upload_bytes)
    said = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": limit}
    return Response(status_code=204, headers=said | {"Tus-Checksum-Algorithm": ",".join(HASHES)})


@router.post("", status_code=201)
async def create(request: Request, owner: Owner, here: Here) -> Response:
    """Begin an upload of `Upload-Length` bytes; what the body holds is its beginning."""
    check_version(request)
    await spend(here, request, "create", owner, _CREATED, _CREATED_WINDOW_S)
    length, metadata = number(request, "upload-length"), request.headers.get("upload-metadata", "")
    title = title_of(metadata)
    try:
        upload = await in_thread(here.inbox.create, owner, length, metadata, title)
    except TooLarge as exc:
        raise Problem(413, exc.code, str(exc)) from None
    headers = {"Location": f"{PATH}/{upload.id}"}
    if request.headers.get("content-type") == TUS_TYPE or not length:
        upload, offset = await _receive(here, request, upload, 0)
        headers["Upload-Offset"] = str(offset)
    return Response(status_code=201, headers=headers | expiry(upload.expires_s))


@router.head("/{name}")
async def offset_of(name: str, request: Request, owner: Owner, here: Here) -> Response:
    """How much has come: where to go on."""
    check_version(request)
    upload = await _mine(here, owner, name)
    async with _in_turn():
        offset = await in_thread(here.inbox.offset, upload)
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(upload.bytes)} | expiry(upload.expires_s)
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return Response(status_code=200, headers=headers)


@router.get("/{name}")
async def look(name: str, owner: Owner, here: Here) -> UploadOut:
    """What is known of it: once complete, whether it is a video and which."""
    upload = await _mine(here, owner, name)
    async with _in_turn():
        offset = await in_thread(here.inbox.offset, upload)
    return UploadOut(**upload.model_dump(include=UploadOut.model_fields.keys() - {"offset"}), offset=offset)


@router.patch("/{name}", status_code=204)
async def append(name: str, request: Request, owner: Owner, here: Here) -> Response:
    """Go on at `Upload-Offset`. Whoever was cut off asks by HEAD where that is."""
    check_version(request)
    if request.headers.get("content-type") != TUS_TYPE:
        raise Problem(415, "content_type", f"the body is sent as {TUS_TYPE}")
    start = number(request, "upload-offset")
    upload, offset = await _receive(here, request, await _mine(here, owner, name), start)
    return Response(status_code=204, headers={"Upload-Offset": str(offset)} | expiry(upload.expires_s))


@router.delete("/{name}", status_code=204)
async def remove(name: str, request: Request, owner: Owner, here: Here) -> Response:
    check_version(request)
    upload = await _mine(here, owner, name)
    if any(job.source == upload.source and not job.state.final for job in await here.jobs.jobs(owner)):
        raise Problem(409, "in_use", "a job is at work on this upload; cancel that first")
    async with _in_turn():
        await in_thread(here.inbox.remove, upload)
    return Response(status_code=204)


@router.post("/{name}", status_code=204, include_in_schema=False)
async def overridden(name: str, request: Request, owner: Owner, here: Here) -> Response:
    """For clients that can send no other method."""
    known = {"PATCH": append, "DELETE": remove}
    wanted = known.get(request.headers.get("x-http-method-override", "").upper())
    if wanted is None:
        raise Problem(405, "method_not_allowed", "X-HTTP-Method-Override: PATCH or DELETE")
    return await wanted(name, request, owner, here)


async def _mine(here: Context, owner: str, name: str) -> Upload:
    """Raises Problem 404: what is another's does not exist."""
    upload = await in_thread(here.inbox.get, owner, name)
    if upload is None:
        raise Problem(404, "not_found", "there is no such upload, or no longer")
    return upload


@asynccontextmanager
async def _in_turn() -> AsyncIterator[None]:
    """What goes wrong when two are at one upload, or the disk is full, in words."""
    try:
        yield
    except Busy as exc:
        raise Problem(423, exc.code, str(exc), retry_s=_RETRY_S) from None
    except FileNotFoundError:
        raise Problem(404, "not_found", "there is no such upload, or no longer") from None
    except OSError as exc:
        raise disk_error(exc, "the upload") from exc


async def _receive(here: Context, request: Request, upload: Upload, start: int) -> tuple[Upload, int]:
    """Write the body at `start`; finish the upload when all has come. The record then, and the offset."""
    if upload.state != "arriving":
        return _repeated(upload, start)
    async with _in_turn():
        try:
            writing = await in_thread(here.inbox.open, upload)
        except FileNotFoundError:  # removed, or completed by another writer since its record was read
            upload = await _mine(here, upload.owner, upload.id)
            if upload.state == "arriving":
                raise
            return _repeated(upload, start)
        with writing as draft:
            if start != draft.offset:
                raise _conflict(draft.offset)
            upload = await in_thread(here.inbox.touch, upload)
            await _take(request, draft, upload.bytes)
            await in_thread(draft.sync)
            if draft.offset == upload.bytes:
                upload = await here.inbox.finish(upload)
            return upload, draft.offset


def _repeated(upload: Upload, start: int) -> tuple[Upload, int]:
    """Of a complete one: the answer to its last bytes was lost. Raises Problem 409."""
    if start != upload.bytes:
        raise _conflict(upload.bytes)
    return upload, start


async def _take(request: Request, draft: Draft, length: int) -> None:
    """What the body holds; what came before a cut stays, unless a checksum was to vouch for it."""
    start, checksum = draft.offset, checksum_of(request)
    body = _Body(request, length - start)
    try:
        async for piece in body:
            if checksum:
                checksum[0].update(piece)
            await in_thread(draft.write, [piece])
    except (Problem, ClientDisconnect, OSError) as exc:
        if checksum or body.over:
            await in_thread(draft.cut, start)
        raise Problem(400, "cut_off", "the connection was lost") if isinstance(exc, ClientDisconnect) else exc from None
    except asyncio.CancelledError:  # the server stops
        if checksum or body.over:
            draft.cut(start)
        raise
    if checksum and checksum[0].digest() != checksum[1]:
        await in_thread(draft.cut, start)
        raise Problem(460, "checksum", "the bytes are not those of the checksum; send them again")


class _Body:
    """The request's body in large pieces, `room` bytes at most. Raises Problem 413, 408; ClientDisconnect at its end,
    after the last of what came."""

    def __init__(self, request: Request, room: int) -> None:
        self.over = False
        self._pieces, self._room = request.stream(), room
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > room:
            raise self._too_long()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        gathered = bytearray()
        broken: Exception | None = None
        while broken is None:
            try:
                async with asyncio.timeout(_SILENCE_S):
                    gathered += await anext(self._pieces)
            except (StopAsyncIteration, ClientDisconnect) as exc:
                broken = exc
            except TimeoutError:
                broken = Problem(408, "slow", "nothing came for a while; go on later", Connection="close")
            if gathered and (broken or len(gathered) >= _GATHER):
                yield self._within(bytes(gathered))
                gathered.clear()
        if not isinstance(broken, StopAsyncIteration):
            raise broken

    def _within(self, piece: bytes) -> bytes:
        self._room -= len(piece)
        if self._room < 0:
            self.over = True
            raise self._too_long()
        return piece

    @staticmethod
    def _too_long() -> Problem:
        return Problem(413, "too_large", "that is more than Upload-Length said", Connection="close")


def _conflict(offset: int) -> Problem:
    return Problem(409, "wrong_offset", f"the upload has {offset} bytes; go on from there", Upload_Offset=str(offset))
