"""POST /api/previews: one frame of an upload as it would come out, before the whole run."""

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
from stream.records.jobs import Job, JobState
from stream.records.options import Options
from web.context import Context, Here, Owner, spend
from web.http.problems import Problem
from web.http.threads import in_thread
from web.videos.jobs import check_room, forget
from web.videos.wishes import PREVIEW, OutputIn, Part, Wish, job_of

router = APIRouter(prefix="/api", tags=["jobs"])
_WAIT_S = 60.0
_LOOK_S = 0.15
_RUN_UP_S = 0.5  # recurrent engines and the steadying know little of a first frame
_PREVIEWS, _PREVIEWS_WINDOW_S = 60, 60
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}, "image/png": {}}}}


class PreviewWanted(BaseModel):
    """upload: the id of a complete one; at_s: which frame, in seconds of the video."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    upload: str = Field(min_length=1, max_length=limits.ID)
    at_s: Annotated[float, Field(ge=0)] = 0.0
    options: Part = Field(default_factory=dict)


@router.post("/previews", response_class=Response, responses=_PICTURE)
async def preview(wanted: PreviewWanted, request: Request, owner: Owner, here: Here) -> Response:
    """The frame, as JPEG; as PNG where it is transparent. A worker makes it, ahead of your other jobs."""
    await spend(here, request, "preview", owner, _PREVIEWS, _PREVIEWS_WINDOW_S)
    job = await _frame_job(here, owner, wanted)
    await check_room(here, owner)
    await here.jobs.submit(job)
    try:
        ended = await _ended(here, job)
        _check(ended)
        content = await in_thread(_picture, here, ended, job.options)
    finally:
        await asyncio.shield(_tidy(here, job.id))
    return Response(content, media_type="image/png" if job.options.wants_alpha else "image/jpeg")


async def _frame_job(here: Context, owner: str, wanted: PreviewWanted) -> Job:
    """A job that ends with that frame, and waits behind no other job of its owner."""
    output = OutputIn(format="png")  # which holds all that there is to see
    wish = Wish(upload=wanted.upload, options=wanted.options, outputs=[output], priority=limits.PRIORITY_MOST)
    job = await job_of(here, owner, wish)
    media = job.media
    frame_s = 1 / media.fps if media and media.fps else 0.04
    at_s = min(wanted.at_s, max(0.0, media.duration_s - frame_s)) if media and media.duration_s else wanted.at_s
    outputs = (job.outputs[0].model_copy(update={"name": PREVIEW}),)
    return job.model_copy(update={"outputs": outputs, "start_s": max(0.0, at_s - _RUN_UP_S), "end_s": at_s + frame_s})


async def _ended(here: Context, job: Job) -> Job:
    until_s = time.monotonic() + _WAIT_S
    while time.monotonic() < until_s:
        now = await here.jobs.job(job.id)
        if now is None or now.state.final:
            return now or job
        await asyncio.sleep(_LOOK_S)
    raise Problem(503, "no_worker", "no worker had time for a preview; try again soon", retry_s=5)


def _check(job: Job) -> None:
    if job.state is not JobState.DONE or PREVIEW not in job.results:
        raise Problem(422, job.reason or "failed", job.detail or "the preview was not made")


def _picture(here: Context, job: Job, options: Options) -> bytes:
    """The last picture of the zip that the worker made. Blocks."""
    with tempfile.TemporaryDirectory() as folder:
        packed = here.storage.local(job.results[PREVIEW].key, Path(folder))  # the run-up to it may be large
        with zipfile.ZipFile(packed) as pictures:
            png = pictures.read(max(name for name in pictures.namelist() if name != TIMES))
    if options.wants_alpha:
        return png
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


async def _tidy(here: Context, id: str) -> None:
    """Nothing of it stays; what cannot be removed now is for the sweeper."""
    with suppress(StoreError):  # it is over, or Redis is away
        await here.jobs.cancel(id)
    with suppress(StoreError):
        job = await here.jobs.job(id)
        if job is not None:
            await forget(here, job)
