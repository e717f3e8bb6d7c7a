"""The results of a job to play and to download, a preview while it runs, and signed links to results."""

import hashlib
import time
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.records.jobs import Job
from stream.storage import keys
from web.context import Anyone, Here, Owner
from web.http import openapi
from web.http.problems import Problem
from web.http.ranges import RESPONSES, disposition, send
from web.videos.jobs import PATH, owned

router = APIRouter(prefix=PATH, tags=["jobs"])
_PREVIEW: dict[int | str, dict[str, Any]] = {200: openapi.answer("The picture.", openapi.binary("image/jpeg"))}
OutputName = Annotated[
    str, Query(max_length=limits.OUTPUT_NAME_LENGTH, description="the name of the output; default: the first")
]


@router.head("/{id}/result", include_in_schema=False)
@router.get(
    "/{id}/result", response_class=Response, responses=RESPONSES,
    operation_id="get_job_result", summary="Play or download a result",
)  # fmt: skip
async def result(
    id: str,
    request: Request,
    visitor: Anyone,
    here: Here,
    output: OutputName = "",
    download: Annotated[bool, Query(description="save the file instead of showing it")] = False,
) -> Response:
    """A finished output. Supports range requests, so that players can seek. A download link is sufficient."""
    if visitor.scope != "login" and (visitor.scope, visitor.name) != ("download", id):
        raise Problem(403, "link_scope", "this link is not for this result")
    job = await owned(here, visitor.owner, id)
    name = output or job.outputs[0].name
    found = job.results.get(name)
    if found is None:
        raise Problem(
            404, "no_result", f"the job is {job.state.value} and has no result {name[: limits.OUTPUT_NAME_LENGTH]!r}"
        )
    etag = hashlib.sha256(f"{found.key} {found.bytes} {job.ended_s}".encode()).hexdigest()[:32]
    headers = {"Content-Type": found.mime, "Content-Disposition": disposition(_file_name(job, name), download)}
    return await send(request, here.storage, found.key, f'"{etag}"', headers)


def _file_name(job: Job, output: str) -> str:
    """A file name that begins with the title of the video."""
    suffix = next(o.kind.result_suffix for o in job.outputs if o.name == output)
    stem = PurePath(job.title.replace("/", "_").replace("\\", "_")).stem.strip(". ") or "video"
    return f"{stem}-{output}{suffix}"


@router.head("/{id}/preview", include_in_schema=False)
@router.get(
    "/{id}/preview", response_class=Response, responses=_PREVIEW,
    operation_id="get_job_preview", summary="The latest processed frame",
)  # fmt: skip
async def latest_picture(id: str, request: Request, owner: Owner, here: Here) -> Response:
    """A small JPEG of the latest processed frame; 404 until there is one."""
    job = await owned(here, owner, id)
    etag = f'"{job.progress.frames}-{int(job.updated_s * 1000)}"'
    return await send(request, here.storage, keys.job_preview(job.id), etag, {"Content-Type": "image/jpeg"})


class DownloadLinkRequest(BaseModel):
    """output: its name; "" for the first."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"expires_s": 3600}]})
    output: str = Field("", max_length=limits.OUTPUT_NAME_LENGTH)
    expires_s: Annotated[int, Field(ge=1, le=limits.DOWNLOAD_LINK_S, description="seconds until it expires")] = 3600


class DownloadLink(BaseModel):
    """url: plays or downloads the result without signing in. expires_s: Unix time."""

    url: str
    expires_s: float


@router.post("/{id}/links", status_code=201, operation_id="create_download_link", summary="Create a link to a result")
async def create_link(id: str, body: DownloadLinkRequest, request: Request, owner: Owner, here: Here) -> DownloadLink:
    """A signed address of the result that anyone can use until it expires."""
    job = await owned(here, owner, id)
    name = body.output or job.outputs[0].name
    if name not in (output.name for output in job.outputs):
        raise Problem(422, "invalid", "the job has no such output", field="output")
    token = here.gate.issue("download", owner, job.id, body.expires_s)
    base = str(request.base_url).rstrip("/")
    url = f"{base}{PATH}/{job.id}/result?output={name}&token={token}"
    return DownloadLink(url=url, expires_s=round(time.time() + body.expires_s, 3))
