"""POST /api/previews: one processed frame of an upload, to check the options before the whole video is processed."""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.records.formats import TIMES
from stream.records.jobs import Job, VideoStreamNumber
from stream.records.metadata import Metadata
from stream.records.options import Options
from web.context import Context, Here, Owner, spend
from web.http import openapi
from web.http.threads import in_picture_thread
from web.videos.job_requests import PREVIEW, JobRequest, OutputIn, PartialOptions, new_job
from web.videos.unlisted_jobs import existing_s, frame_s, result_of

router = APIRouter(prefix="/api", tags=["jobs"])
_TIMEOUT_S = 60.0
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
    async with result_of(here, job, _TIMEOUT_S, "preview") as done:
        content = await in_picture_thread(_picture, here, done, job.options)
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
    at_s = existing_s(request.at_s, media)
    times = {"start_s": max(0.0, at_s - _WARM_UP_S), "end_s": at_s + frame_s(media)}
    return job.model_copy(update={"outputs": outputs, "listed": False, **times})


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
