"""/api/jobs: what is done to uploaded videos, and how far it is. Results: web/videos/results.py; news:
web/videos/events.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from stream.errors import BadMove, NoJob
from stream.fetch.pull import shown as address_shown
from stream.limits import RECORD_ID
from stream.records import api
from stream.records.jobs import Job, JobState, Media, Output, Progress
from stream.storage import keys
from web.context import Context, Here, Owner, spend
from web.http.problems import Problem
from web.http.threads import in_thread
from web.options import words
from web.videos.wishes import PREVIEW, Wish, job_of

PATH = api.JOBS
router = APIRouter(prefix=PATH, tags=["jobs"])
_SUBMITS, _SUBMITS_WINDOW_S = 300, 60
_SAME = {"source", "url", "options", "outputs", "start_s", "end_s", "width", "height"}


class ResultOut(BaseModel):
    url: str
    bytes: int
    mime: str


class JobOut(BaseModel):
    """state: queued, running, paused; done, failed and cancelled are final, and `reason` and `detail` say why it
    failed. upload: the id of its video. results: by the output's name. expires_s: when it goes; 0 while it runs."""

    id: str
    title: str
    upload: str
    url: str
    options: dict[str, Any]
    outputs: list[dict[str, Any]]
    start_s: float
    end_s: float | None
    width: int
    height: int
    priority: int
    webhook: bool
    state: JobState
    reason: str
    detail: str
    warnings: list[tuple[str, str]]
    media: Media | None
    progress: Progress
    results: dict[str, ResultOut]
    created_s: float
    updated_s: float
    started_s: float
    ended_s: float
    expires_s: float


class JobList(BaseModel):
    jobs: list[JobOut]


class Change(BaseModel):
    model_config = ConfigDict(extra="forbid")
    paused: bool


def shown(here: Context, job: Job) -> JobOut:
    """A job as its owner may read it: no path of the server, no key of the storage, no password."""
    plain = job.model_dump(include=JobOut.model_fields.keys() - {"options", "outputs", "results", "webhook", "url"})
    return JobOut(
        **plain,
        upload=keys.upload_of(job.source),
        url=address_shown(job.url) if job.url else "",
        webhook=bool(job.webhook),
        options=words(here.shelf, job.options),
        outputs=[_output(here, output) for output in job.outputs],
        results={name: _result(job, name) for name in job.results},
        expires_s=job.ended_s + here.settings.jobs_keep_s if job.state.final else 0.0,
    )


def _output(here: Context, output: Output) -> dict[str, Any]:
    background = here.shelf.word_for(output.background) if output.background else None
    return output.model_dump(mode="json") | {"background": background}


def _result(job: Job, name: str) -> ResultOut:
    result = job.results[name]
    return ResultOut(url=f"{PATH}/{job.id}/result?output={name}", bytes=result.bytes, mime=result.mime)


async def owned(here: Context, owner: str, id: str) -> Job:
    """The owner's job of that id. Raises Problem 404: what is another's does not exist."""
    job = await here.jobs.job(id) if RECORD_ID.fullmatch(id) else None
    if job is None or job.owner != owner:
        raise Problem(404, "not_found", "there is no such job")
    return job


def listed(jobs: list[Job]) -> list[Job]:
    """Without those that only show a frame."""
    return [job for job in jobs if job.outputs[0].name != PREVIEW]


@router.post("", status_code=202)
async def submit(
    wish: Wish,
    request: Request,
    response: Response,
    owner: Owner,
    here: Here,
    idempotency_key: Annotated[str, Header(max_length=255)] = "",
) -> JobOut:
    """Queue a video. The same `Idempotency-Key` within 24 h gives the job made then, so that asking again is safe."""
    await spend(here, request, "job", owner, _SUBMITS, _SUBMITS_WINDOW_S)
    job = await job_of(here, owner, wish)
    if not await here.jobs.made_under(owner, idempotency_key):
        await check_room(here, owner)
    made = await here.jobs.submit(job, idempotency_key)
    if made.id != job.id and made.model_dump(include=_SAME) != job.model_dump(include=_SAME):
        raise Problem(422, "key_reused", "this Idempotency-Key was used for another job", field="Idempotency-Key")
    response.headers["Location"] = f"{PATH}/{made.id}"
    return shown(here, made)


async def check_room(here: Context, owner: str) -> None:
    """Raises Problem 429 when the user has as many unfinished jobs as one may have, 413 when what was fetched for his
    jobs and what came of them has more bytes than his uploads may have."""
    limit, quota = here.settings.jobs_per_user, here.settings.uploads_per_user
    kept = await here.jobs.jobs(owner)
    if sum(not job.state.final for job in kept) >= limit:
        raise Problem(429, "too_many_jobs", f"you have {limit} jobs that are not finished", retry_s=30)
    if (used := sum(map(_bytes_of, kept))) >= quota:
        detail = f"your jobs keep {used:,} bytes of {quota:,}; remove some, or wait until they expire"
        raise Problem(413, "over_quota", detail)


def _bytes_of(job: Job) -> int:
    """In storage: its results, and its video where that is no upload."""
    fetched = job.media.bytes if job.url and job.media else 0
    return fetched + sum(result.bytes for result in job.results.values())


@router.get("")
async def every(owner: Owner, here: Here) -> JobList:
    """Yours, newest first, until they expire."""
    return JobList(jobs=[shown(here, job) for job in listed(await here.jobs.jobs(owner))])


@router.get("/{id}")
async def one(id: str, owner: Owner, here: Here) -> JobOut:
    return shown(here, await owned(here, owner, id))


@router.patch("/{id}")
async def change(id: str, body: Change, owner: Owner, here: Here) -> JobOut:
    """Pause: what is under way is finished, nothing more is begun. To pause what is paused is no mistake."""
    job = await owned(here, owner, id)
    if (job.state is JobState.PAUSED) == body.paused and not job.state.final:
        return shown(here, job)
    return await _moved(here, job, here.jobs.pause if body.paused else here.jobs.resume)


@router.post("/{id}/retry")
async def retry(id: str, owner: Owner, here: Here) -> JobOut:
    """Try a failed job again; what was finished of it stays so."""
    job = await owned(here, owner, id)
    if job.state is JobState.FAILED:
        await check_room(here, owner)
    return await _moved(here, job, here.jobs.retry)


@router.delete("/{id}", status_code=204)
async def remove(
    id: str,
    owner: Owner,
    here: Here,
    keep: Annotated[bool, Query(description="only cancel: leave alone what is over")] = False,
) -> Response:
    """Cancel it; one that is over goes with its results."""
    job = await owned(here, owner, id)
    async with _allowed(here, job):
        if not job.state.final:
            await here.jobs.cancel(job.id)
        elif not keep:
            await forget(here, job)
    return Response(status_code=204)


async def forget(here: Context, job: Job) -> None:
    """A job that is over, its record first: from then on nobody can have it tried again, and it is safe to remove its
    files. Should this process die in between, the sweeper finds them. Raises BadMove: it is not over any more."""
    with suppress(NoJob):  # somebody else was quicker
        await here.jobs.remove(job.id)
    await in_thread(here.storage.remove_all, keys.job(job.id))


async def _moved(here: Context, job: Job, move: Any) -> JobOut:
    async with _allowed(here, job):
        return shown(here, await move(job.id))


@asynccontextmanager
async def _allowed(here: Context, job: Job) -> AsyncIterator[None]:
    """Raises Problem where what is done within comes too late: 404, or 409 with the state that the job is in."""
    try:
        yield
    except NoJob:
        raise Problem(404, "not_found", "there is no such job") from None
    except BadMove:
        now = await owned(here, job.owner, job.id)
        raise Problem(409, "bad_move", f"the job is {now.state.value}") from None
