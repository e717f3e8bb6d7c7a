"""/api/jobs: submit, list, change and remove the jobs that process videos.

Results are in `web/videos/results.py`, events in `web/videos/events.py`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.errors import BadMove, JobsTooLarge, NoJob, TooManyJobs
from stream.fetch.safe_http import redacted_url
from stream.records import http_paths
from stream.records.job_queue import Place
from stream.records.jobs import Job, JobState, Media, Output, Progress, Quota
from stream.records.metadata import Metadata
from stream.records.versions import NEWER, NEWER_DETAIL
from stream.storage import keys
from web.context import Context, Here, Owner, spend
from web.http import openapi
from web.http.paging import cursor_problems, page_response
from web.http.problems import Problem
from web.http.threads import in_thread
from web.read_options import public_options
from web.videos.job_requests import FORM_BODY, JobRequest, new_job

PATH = http_paths.JOBS
router = APIRouter(prefix=PATH, tags=["jobs"])
_QUEUED: dict[int | str, dict[str, Any]] = {202: openapi.answer("The job.", Location="the job")}
_PAGE: dict[int | str, dict[str, Any]] = {200: openapi.answer("A page of the list.", Link='rel="next": the next page')}
_SUBMITS, _SUBMITS_WINDOW_S = 300, 60
_IDENTITY = {"source", "url", "options", "outputs", "start_s", "end_s", "stream", "width", "height", "metadata"}
"""The fields in which jobs submitted under one `Idempotency-Key` must agree."""


class ResultOut(BaseModel):
    url: str
    bytes: int
    mime: str


class ProgressOut(Progress):
    """ahead: the number of videos, of all users, of which a worker takes a task before this one starts. Both fields are
    null unless the job is queued, and when unknown."""

    ahead: int | None = None
    starts_in_s: float | None = Field(None, description="estimated from the measured rate of running jobs; rounded")


class JobOut(BaseModel):
    """state: queued, running or paused; done, failed and cancelled are final. reason, detail: why it failed, as a code
    and in words. upload: the id of the uploaded video. results: by the output's name. expires_s: when it will be
    removed, in Unix time; 0 before it ends."""

    id: str
    title: str
    upload: str
    url: str
    options: dict[str, Any]
    outputs: list[dict[str, Any]]
    start_s: float
    end_s: float | None
    stream: int | None
    width: int
    height: int
    metadata: Metadata
    priority: int
    webhook: bool
    state: JobState
    reason: str
    detail: str
    warnings: list[tuple[str, str]]
    media: Media | None
    progress: ProgressOut
    results: dict[str, ResultOut]
    created_s: float
    updated_s: float
    started_s: float
    ended_s: float
    expires_s: float


class JobList(BaseModel):
    """next: the `cursor` of the next page; null on the last page."""

    jobs: list[JobOut]
    next: str | None


class JobChange(BaseModel):
    """paused: whether no further segments of the job are started."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"paused": True}]})
    paused: bool


def job_out(here: Context, job: Job, place: Place | None = None) -> JobOut:
    """A job as its owner may read it: without paths of the server, keys in storage, and passwords in addresses.

    place: of a queued job, if known.
    """
    made = {"options", "outputs", "results", "webhook", "url", "progress", "warnings"}
    plain = job.model_dump(include=JobOut.model_fields.keys() - made)
    return JobOut(
        **plain,
        progress=ProgressOut(**job.progress.model_dump(), **(asdict(place) if place else {})),
        warnings=[*job.warnings, *([(NEWER, NEWER_DETAIL)] if job.newer else [])],
        upload=keys.upload_of(job.source),
        url=redacted_url(job.url) if job.url else "",
        webhook=bool(job.webhook),
        options=public_options(here.background_store, job.options),
        outputs=[_output(here, output) for output in job.outputs],
        results={name: _result(job, name) for name in job.results},
        expires_s=job.ended_s + here.settings.jobs_keep_s if job.state.final else 0.0,
    )


def _output(here: Context, output: Output) -> dict[str, Any]:
    background = here.background_store.public_spec(output.background) if output.background else None
    return output.model_dump(mode="json") | {"background": background}


def _result(job: Job, name: str) -> ResultOut:
    result = job.results[name]
    return ResultOut(url=f"{PATH}/{job.id}/result?output={name}", bytes=result.bytes, mime=result.mime)


async def owned(here: Context, owner: str, id: str) -> Job:
    """The owner's job with this id. Raises Problem 404 if there is none, or it is another user's."""
    job = await here.jobs.job(id) if limits.RECORD_ID.fullmatch(id) else None
    if job is None or job.owner != owner:
        raise Problem(404, "not_found", "there is no such job")
    return job


async def jobs_out(here: Context, jobs: Sequence[Job]) -> list[JobOut]:
    """As `job_out`, with the places of those that wait."""
    places = await here.forecast.places(jobs)
    return [job_out(here, job, places.get(job.id)) for job in jobs]


@router.post(
    "", status_code=202, responses=_QUEUED, openapi_extra=FORM_BODY,
    operation_id="submit_job", summary="Submit a job",
)  # fmt: skip
async def submit(
    body: JobRequest,
    request: Request,
    response: Response,
    owner: Owner,
    here: Here,
    idempotency_key: Annotated[str, Header(max_length=255)] = "",
) -> JobOut:
    """Queue a job. Repeating it with the same `Idempotency-Key` within 24 h is safe: it returns the existing job."""
    await spend(here, request, "job", owner, _SUBMITS, _SUBMITS_WINDOW_S)
    job = await new_job(here, owner, body)
    async with quota_problems():
        submitted = await here.jobs.submit(job, idempotency_key, quota(here))
    if submitted.id != job.id and submitted.model_dump(include=_IDENTITY) != job.model_dump(include=_IDENTITY):
        detail = "this Idempotency-Key was used for a different job"
        raise Problem(422, "key_reused", detail, field="Idempotency-Key")
    response.headers["Location"] = f"{PATH}/{submitted.id}"
    return job_out(here, submitted)


def quota(here: Context) -> Quota:
    """What one user's jobs may use."""
    return Quota(here.settings.jobs_per_user, here.settings.uploads_per_user)


@asynccontextmanager
async def quota_problems() -> AsyncIterator[None]:
    """Turns TooManyJobs into Problem 429, and JobsTooLarge into Problem 413."""
    try:
        yield
    except TooManyJobs as exc:
        raise Problem(429, exc.code, str(exc), retry_s=30) from None
    except JobsTooLarge as exc:
        raise Problem(413, exc.code, str(exc)) from None


@router.get("", response_model=JobList, responses=_PAGE, operation_id="list_jobs", summary="List your jobs")
async def list_jobs(
    owner: Owner,
    here: Here,
    limit: Annotated[int, Query(ge=1, le=limits.JOBS_PAGE_MOST, description="jobs per page")] = limits.JOBS_PAGE,
    cursor: Annotated[str, Query(max_length=64, description="`next` of the page before; empty: the newest")] = "",
) -> Response:
    """Your jobs, newest first, until they expire. `Link: rel="next"` has the address of the next page."""
    with cursor_problems():
        page = await here.jobs.page(owner, limit, cursor)
    listed = JobList(jobs=await jobs_out(here, page.jobs), next=page.next or None)
    return page_response(listed, PATH, limit, page.next)


@router.get("/{id}", operation_id="get_job", summary="A job")
async def get_job(id: str, owner: Owner, here: Here) -> JobOut:
    return (await jobs_out(here, [await owned(here, owner, id)]))[0]


@router.patch("/{id}", operation_id="change_job", summary="Pause or resume a job")
async def change(id: str, body: JobChange, owner: Owner, here: Here) -> JobOut:
    """Pause or resume. A paused job finishes its running segments and starts no others. Idempotent."""
    job = await owned(here, owner, id)
    if (job.state is JobState.PAUSED) == body.paused and not job.state.final:
        return job_out(here, job)
    return await _changed(here, job, here.jobs.pause if body.paused else here.jobs.resume)


@router.post("/{id}/retry", operation_id="retry_job", summary="Retry a failed job")
async def retry(id: str, owner: Owner, here: Here) -> JobOut:
    """Retry a failed job. Its finished segments are kept."""
    job = await owned(here, owner, id)
    async with quota_problems():
        return await _changed(here, job, partial(here.jobs.retry, quota=quota(here)))


@router.delete("/{id}", status_code=204, operation_id="remove_job", summary="Cancel or remove a job")
async def remove(
    id: str,
    owner: Owner,
    here: Here,
    keep: Annotated[bool, Query(description="only cancel; do not remove a job that has ended")] = False,
) -> Response:
    """Cancel a job; if it has ended, remove it with its results."""
    job = await owned(here, owner, id)
    async with _transition_problems(here, job):
        if not job.state.final:
            await here.jobs.cancel(job.id)
        elif not keep:
            await forget(here, job)
    return Response(status_code=204)


async def forget(here: Context, job: Job) -> None:
    """Remove a job that has ended, first its record and then its files.

    Without its record it cannot be retried, so its files are no longer needed. If this process dies in between, the
    sweeper removes them. Raises BadMove if the job was retried meanwhile.
    """
    with suppress(NoJob):  # already removed
        await here.jobs.remove(job.id)
    await in_thread(here.storage.remove_all, keys.job(job.id))


async def _changed(here: Context, job: Job, transition: Callable[[str], Awaitable[Job]]) -> JobOut:
    async with _transition_problems(here, job):
        return job_out(here, await transition(job.id))


@asynccontextmanager
async def _transition_problems(here: Context, job: Job) -> AsyncIterator[None]:
    """Turns NoJob into Problem 404, and BadMove into Problem 409 with the job's state."""
    try:
        yield
    except NoJob:
        raise Problem(404, "not_found", "there is no such job") from None
    except BadMove:
        current = await owned(here, job.owner, job.id)
        raise Problem(409, "bad_move", f"this is not possible, because the job is {current.state.value}") from None
