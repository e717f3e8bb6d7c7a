"""POST /api/previews: one processed frame of an upload, to check the options before the whole video is processed."""

import asyncio
import io
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.errors import StoreError
from stream.records.formats import TIMES
from stream.records.jobs import Job, JobState, VideoStreamNumber
from stream.records.live import NO_WORKER
from stream.records.metadata import Metadata
from stream.records.options import Options
from web.context import Context, Here, Owner, spend
from web.http import openapi
from web.http.problems import Problem
from web.http.threads import in_picture_thread
from web.videos.job_requests import PREVIEW, JobRequest, OutputIn, PartialOptions, new_job
from web.videos.jobs import forget, quota, quota_problems

router = APIRouter(prefix="/api", tags=["jobs"])
_TIMEOUT_S = 60.0
_POLL_S = 0.15
_WARM_UP_S = 0.5  # of video before the frame, for recurrent engines and temporal smoothing
_PREVIEWS, _PREVIEWS_WINDOW_S = 60, 60
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: openapi.answer("The picture.", openapi.binary("image/jpeg", "image/png"))
}


class PreviewRequest(BaseModel):
    """upload: the id of a complete upload. at_s: the time of the frame, in seconds from the start of the video. stream:
    as in POST /api/jobs."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"upload": "5f6b6d0e9f7a4a0f8d3c2b1a00112233", "at_s": 2.0}]},
    )
    upload: str = Field(min_length=1, max_length=limits.ID)
    at_s: Annotated[float, Field(ge=0)] = 0.0
    options: PartialOptions = Field(default_factory=dict)
    stream: VideoStreamNumber = None


@router.post(
    "/previews", response_class=Response, responses=_RESPONSES,
    operation_id="preview_frame", summary="One processed frame",
)  # fmt: skip
async def preview(body: PreviewRequest, request: Request, owner: Owner, here: Here) -> Response:
    """The frame as a JPEG, or as a PNG if it is transparent. It is processed before your other jobs."""
    await spend(here, request, "preview", owner, _PREVIEWS, _PREVIEWS_WINDOW_S)
    job = await _frame_job(here, owner, body)
    async with quota_problems():
        await here.jobs.submit(job, quota=quota(here))
    try:
        ended = await _ended(here, job)
        _check_done(ended)
        content = await in_picture_thread(_picture, here, ended, job.options)
    finally:
        await asyncio.shield(_clean_up(here, job.id))
    return Response(content, media_type="image/png" if job.options.wants_alpha else "image/jpeg")


async def _frame_job(here: Context, owner: str, request: PreviewRequest) -> Job:
    """A job with the highest priority whose last frame is the requested one."""
    output = OutputIn(format="png")  # lossless, with transparency
    job_request = JobRequest(
        upload=request.upload, options=request.options, outputs=[output], stream=request.stream,
        priority=limits.PRIORITY_MOST, metadata=Metadata.DROP,
    )  # fmt: skip
    job = await new_job(here, owner, job_request)
    outputs = (job.outputs[0].model_copy(update={"name": PREVIEW}),)
    media = job.media
    if media and media.still:
        return job.model_copy(update={"outputs": outputs, "listed": False})
    frame_s = 1 / media.fps if media and media.fps else 0.04
    at_s = min(request.at_s, max(0.0, media.duration_s - frame_s)) if media and media.duration_s else request.at_s
    times = {"start_s": max(0.0, at_s - _WARM_UP_S), "end_s": at_s + frame_s}
    return job.model_copy(update={"outputs": outputs, "listed": False, **times})


async def _ended(here: Context, job: Job) -> Job:
    """The job once it has ended. Raises Problem 503 after 60 s."""
    deadline_s = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline_s:
        current = await here.jobs.job(job.id)
        if current is None or current.state.final:
            return current or job
        await asyncio.sleep(_POLL_S)
    raise Problem(503, NO_WORKER, "no worker was available for the preview; try again soon", retry_s=5)


def _check_done(job: Job) -> None:
    if job.state is not JobState.DONE or PREVIEW not in job.results:
        raise Problem(422, job.reason or "failed", job.detail or "the preview failed")


def _picture(here: Context, job: Job, options: Options) -> bytes:
    """The job's picture, or the last one of its zip, as PNG or JPEG. Blocks."""
    with tempfile.TemporaryDirectory() as folder:
        stored = here.storage.local(job.results[PREVIEW].key, Path(folder))  # on disk: it may be large
        png = stored.read_bytes() if job.outputs[0].kind.still else _last(stored)
    if options.wants_alpha:
        return png
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def _last(packed: Path) -> bytes:
    with zipfile.ZipFile(packed) as pictures:
        return pictures.read(max(name for name in pictures.namelist() if name != TIMES))


async def _clean_up(here: Context, id: str) -> None:
    """Remove the job. What cannot be removed now is left to the sweeper."""
    with suppress(StoreError):  # it has ended, or Redis is unreachable
        await here.jobs.cancel(id)
    with suppress(StoreError):
        job = await here.jobs.job(id)
        if job is not None:
            await forget(here, job)
