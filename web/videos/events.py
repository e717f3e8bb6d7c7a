"""Progress as server-sent events: /api/jobs/events for all jobs of a user, /api/jobs/{id}/events for one until it ends.

A `job` event contains the job as GET returns it, and is sent whenever the job changes. `removed` contains the id of a
removed job. `notice` reports that Redis is unreachable, or reachable again. Comments keep quiet connections
open through proxies.
"""

import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from stream.errors import StoreDown
from stream.records.jobs import Job
from web.context import Context, Here, Owner
from web.http import openapi
from web.http.problems import Problem
from web.videos.jobs import PATH, job_out, owned, without_previews

router = APIRouter(prefix=PATH, tags=["jobs"])
_POLL_S = 0.5
_KEEP_ALIVE_S = 15.0
_RECONNECT_MS = 2000
_MAX_STREAMS = 24  # per user and process; a browser opens at most six connections to a server
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: openapi.answer("Server-sent events: job, removed, notice.", openapi.text("text/event-stream"))
}
_OVER: dict[int | str, dict[str, Any]] = {204: openapi.answer("The job has ended, and its last event is known.")}
_DOWN = {"code": "store_down", "detail": "Redis cannot be reached; updates resume when it is back"}
_UP = {"code": "ok", "detail": "Redis can be reached again"}


@router.get(
    "/events", response_class=StreamingResponse, responses=_RESPONSES,
    operation_id="watch_jobs", summary="Watch your jobs",
)  # fmt: skip
async def all_events(owner: Owner, here: Here) -> Response:
    """Your jobs in their current state, then each job whenever it changes, until you disconnect."""
    return _stream(here, owner, "")


@router.get(
    "/{id}/events", response_class=StreamingResponse, responses=_RESPONSES | _OVER,
    operation_id="watch_job", summary="Watch a job",
)  # fmt: skip
async def job_events(id: str, request: Request, owner: Owner, here: Here) -> Response:
    """One job until it ends. 204 for clients that reconnect after its last event, which makes browsers stop."""
    job = await owned(here, owner, id)
    if job.state.final and request.headers.get("last-event-id") == _event_id(job):
        return Response(status_code=204)
    return _stream(here, owner, job.id)


def _stream(here: Context, owner: str, id: str) -> Response:
    """id: of one job; "" for all jobs of the owner. Raises Problem 429."""
    if here.watch.open[owner] >= _MAX_STREAMS:
        detail = f"you have {_MAX_STREAMS} event streams open, which is the limit"
        raise Problem(429, "too_many", detail, retry_s=5)
    events = _counted(here, owner, id)
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _counted(here: Context, owner: str, id: str) -> AsyncIterator[str]:
    here.watch.open[owner] += 1
    try:
        async for text in _events(here, owner, id):
            yield text
    finally:
        here.watch.remove_stream(owner)


async def _events(here: Context, owner: str, id: str) -> AsyncIterator[str]:
    sent: dict[str, str] = {}  # the last JSON of each job, by its id
    down, sent_s = False, time.monotonic()
    yield f"retry: {_RECONNECT_MS}\n\n"
    while not here.watch.closed:
        texts: list[str] = []
        try:
            jobs = await _current(here, owner, id)
        except StoreDown:
            texts += [] if down else [_event("notice", _DOWN)]
            down = True
        else:
            texts += [_event("notice", _UP)] if down else []
            down = False
            texts += _changes(here, jobs, sent)
            if id and (not jobs or jobs[0].state.final):
                yield "".join(texts)
                return
        if texts or time.monotonic() - sent_s > _KEEP_ALIVE_S:
            yield "".join(texts) or ": keep-alive\n\n"
            sent_s = time.monotonic()
        await here.watch.pause(_POLL_S)


async def _current(here: Context, owner: str, id: str) -> Sequence[Job]:
    if not id:
        return without_previews(await here.watch.jobs(owner))
    job = await here.jobs.job(id)
    return [job] if job else []


def _changes(here: Context, jobs: Sequence[Job], sent: dict[str, str]) -> list[str]:
    """The events for changes since `sent`, oldest job first. Updates `sent`."""
    texts = []
    for job in reversed(jobs):
        text = job_out(here, job).model_dump_json()
        if sent.get(job.id) != text:
            sent[job.id] = text
            texts.append(f"id: {_event_id(job)}\nevent: job\ndata: {text}\n\n")
    for id in sent.keys() - {job.id for job in jobs}:
        del sent[id]
        texts.append(_event("removed", {"id": id}))
    return texts


def _event(kind: str, data: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _event_id(job: Job) -> str:
    return f"{job.id}:{job.state.value}:{job.updated_s}"
