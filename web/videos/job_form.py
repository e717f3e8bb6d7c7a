"""POST /api/jobs as a form: a small file and the request in one, as `curl -F file=@clip.mp4` sends it.

Large files are uploaded with tus, which can resume: here everything is sent again after an interruption.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Scope

from stream import limits
from stream.errors import TooLarge
from web.context import Context, Here, Owner
from web.http.bodies import Chunks
from web.http.disconnects import while_connected
from web.http.problems import Problem
from web.read_options import from_fields
from web.stores.uploads import Upload
from web.videos.job_requests import FORM_TYPE, JobRequest
from web.videos.jobs import PATH, JobOut, submit
from web.videos.uploads import spend_upload, store_problems

router = APIRouter(prefix=PATH)
_FIELDS = frozenset(JobRequest.model_fields) - {"upload", "url", "options", "outputs"}
_OUTPUT_FIELDS = ("format",)
_FILE = 2**20  # bytes read at once
_TOO_LARGE = (
    f"a form may have at most {limits.FORM_BYTES // 2**20} MiB; send larger files to /api/uploads with a tus client"
)


class _FormRoute(APIRoute):
    """Matches requests whose body is a form; others go on to the next route of the same path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if is_form(scope) else (Match.NONE, {})


def is_form(scope: Scope) -> bool:
    """Whether the request submits a job as a form."""
    kind = dict(scope["headers"]).get(b"content-type", b"").lower()
    return bool(scope["path"] == PATH and scope["method"] == "POST" and kind.startswith(FORM_TYPE.encode()))


async def submit_form(
    request: Request,
    response: Response,
    owner: Owner,
    here: Here,
    idempotency_key: Annotated[str, Header(max_length=255)] = "",
) -> JobOut:
    """Upload the form's file and queue a job for it."""
    if idempotency_key:
        detail = "a form uploads its file each time; use Idempotency-Key with an upload of tus"
        raise Problem(422, "invalid", detail, field="Idempotency-Key")
    await spend_upload(here, request, owner)
    async with _form(request, here) as (file, fields):
        upload = await _stored(here, request, owner, file)
    try:
        return await submit(_job_request(upload, fields), request, response, owner, here)
    except Exception:
        await here.upload_store.remove(upload)
        raise


router.add_api_route(
    "", submit_form, methods=["POST"], status_code=202, include_in_schema=False, route_class_override=_FormRoute
)


@asynccontextmanager
async def _form(request: Request, here: Context) -> AsyncIterator[tuple[UploadFile, dict[str, Any]]]:
    """The file of the form and its other fields. Raises Problem 400, 408, 413, 422."""
    chunks = Chunks(request, limits.FORM_BYTES, here.settings.body_timeout_s, _TOO_LARGE)
    parser = MultiPartParser(request.headers, aiter(chunks), max_files=1, max_fields=64, max_part_size=2**16)  # type: ignore[arg-type]
    try:
        form = await parser.parse()
    except MultiPartException as exc:
        raise Problem(400, "bad_form", f"the form cannot be read: {exc.message}") from None
    except ClientDisconnect:
        raise Problem(400, "cut_off", "the connection was lost") from None
    try:
        yield _parts(form)
    finally:
        await form.close()


def _parts(form: FormData) -> tuple[UploadFile, dict[str, Any]]:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Problem(422, "invalid", "the form has no file; send it as: curl -F file=@clip.mp4", field="file")
    return file, from_fields((name, value) for name, value in form.multi_items() if isinstance(value, str))


async def _stored(here: Context, request: Request, owner: str, file: UploadFile) -> Upload:
    """A complete upload with the file's content. Raises Problem 404, 413, 423, 507."""
    title = "".join(c if c.isprintable() else " " for c in file.filename or "").strip()[: limits.TITLE]
    try:
        upload = await here.upload_store.create(owner, file.size or 0, "", title)
    except TooLarge as exc:
        raise Problem(413, exc.code, str(exc)) from None
    async with store_problems(), here.upload_store.open(upload) as draft:
        while piece := await file.read(_FILE):
            await draft.write(piece)
        await draft.sync()
        return await while_connected(request, here.upload_store.finish(upload, draft))


def _job_request(upload: Upload, fields: dict[str, Any]) -> JobRequest:
    """Raises RequestValidationError. Fields that belong to neither a job nor an output are options."""
    output = {name: fields[name] for name in _OUTPUT_FIELDS if name in fields}
    own = {name: value for name, value in fields.items() if name in _FIELDS}
    options = {name: value for name, value in fields.items() if name not in own.keys() | output.keys()}
    try:
        return JobRequest.model_validate({"upload": upload.id, "options": options, "outputs": [output], **own})
    except ValidationError as exc:
        raise RequestValidationError(exc.errors()) from None
