"""Progress as server-sent events: /api/jobs/events for all jobs of a user, /api/jobs/{id}/events for one until it ends.

A `job` event contains the job as GET returns it, and is sent whenever the job or its place in the queue changes. Only
jobs that have changed are read again, so a stream costs the same however many jobs its user keeps. `removed` contains
the id of a removed job. `notice` reports that Redis is unreachable, or reachable again. Comments keep quiet connections
open through proxies.
"""

import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from stream import limits
from stream.errors import StoreDown
from stream.records.job_queue import Place
from stream.records.jobs import Job, JobState
from web.context import Context, Here, Owner
from web.http import openapi
from web.http.problems import Problem
from web.videos.jobs import PATH, job_out, owned

router = APIRouter(prefix=PATH, tags=["jobs"])
_POLL_S = 0.5
_KEEP_ALIVE_S = 15.0
_RECONNECT_MS = 2000
_MOVED = 50  # events at once for jobs of which only the place in the queue has changed
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
    """Your newest 50 jobs in their current state, then every job whenever it changes, until you disconnect."""
    return _EventStream(here, owner, "")


@router.get(
    "/{id}/events", response_class=StreamingResponse, responses=_RESPONSES | _OVER,
    operation_id="watch_job", summary="Watch a job",
)  # fmt: skip
async def job_events(id: str, request: Request, owner: Owner, here: Here) -> Response:
    """One job until it ends. 204 for clients that reconnect after its last event, which makes browsers stop."""
    job = await owned(here, owner, id)
    if job.state.final and request.headers.get("last-event-id") == _event_id(job):
        return Response(status_code=204)
    return _EventStream(here, owner, job.id)


class _EventStream(StreamingResponse):
    """The events of one job, or of all jobs of the owner if `id` is ""; 429 where the owner has too many streams open.

    A stream is counted where it starts, with nothing awaited after the limit was checked, so that requests at the same
    time cannot exceed it.
    """

    def __init__(self, here: Context, owner: str, id: str) -> None:
        events = _events(here, owner, id)
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._watch, self._owner = here.watch, owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._watch.add_stream(self._owner, _MAX_STREAMS):
            detail = f"you have {_MAX_STREAMS} event streams open, which is the limit"
            await Problem(429, "too_many", detail, retry_s=5).response()(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._watch.remove_stream(self._owner)


async def _events(here: Context, owner: str, id: str) -> AsyncIterator[str]:
    jobs: _OneJob | _AllJobs = _OneJob(here, id) if id else _AllJobs(here, owner)
    down, sent_s = False, time.monotonic()
    yield f"retry: {_RECONNECT_MS}\n\n"
    while not here.watch.closed:
        texts: list[str] = []
        try:
            changes = await jobs.changes(again=down)
        except StoreDown:
            texts += [] if down else [_event("notice", _DOWN)]
            down = True
        else:
            texts += [_event("notice", _UP)] if down else []
            texts += changes
            down = False
        if texts or time.monotonic() - sent_s > _KEEP_ALIVE_S:
            yield "".join(texts) or ": keep-alive\n\n"
            sent_s = time.monotonic()
        if jobs.over:
            return
        await here.watch.pause(_POLL_S)


class _Sent:
    """What a client knows of each job. over: whether nothing more will follow."""

    over = False

    def __init__(self, here: Context) -> None:
        self._here = here
        self._known: dict[str, int] = {}  # hash of the last JSON of each job, by its id
        self._queued: dict[str, Job] = {}
        self._placed: dict[str, Place | None] = {}  # the last place of each queued job

    async def _events(self, jobs: Sequence[Job], gone: Sequence[str]) -> list[str]:
        """The events for jobs that differ from what was sent or have another place in the queue, and for jobs that no
        longer exist."""
        texts = []
        for job, place in await self._with_moved(jobs, gone):
            text = job_out(self._here, job, place).model_dump_json()
            if self._known.get(job.id) != hash(text):
                self._known[job.id] = hash(text)
                texts.append(f"id: {_event_id(job)}\nevent: job\ndata: {text}\n\n")
        for id in gone:
            self._known.pop(id, None)
            texts.append(_event("removed", {"id": id}))
        return texts

    async def _with_moved(self, jobs: Sequence[Job], gone: Sequence[str]) -> list[tuple[Job, Place | None]]:
        """These jobs and those queued ones whose place has changed, with their places. Of many, some at a time."""
        changed = {job.id for job in jobs}
        queued = [job for id, job in self._queued.items() if id not in changed and id not in gone]
        queued += [job for job in jobs if job.state is JobState.QUEUED]
        places = await self._here.forecast.places(queued)
        moved = [j for j in queued if j.id not in changed and places.get(j.id) != self._placed.get(j.id)][:_MOVED]
        sent = {job.id: places.get(job.id) for job in (*jobs, *moved)}
        self._queued = {job.id: job for job in queued}
        self._placed = {id: (self._placed | sent).get(id) for id in self._queued}
        return [(job, sent[job.id]) for job in (*jobs, *moved)]


class _OneJob(_Sent):
    def __init__(self, here: Context, id: str) -> None:
        super().__init__(here)
        self._id = id

    async def changes(self, again: bool) -> list[str]:
        job = await self._here.jobs.job(self._id)
        self.over = job is None or job.state.final
        return await (self._events([job], ()) if job else self._events((), [self._id]))


class _AllJobs(_Sent):
    """The newest jobs of a user at first, then every job that changes."""

    def __init__(self, here: Context, owner: str) -> None:
        super().__init__(here)
        self._owner, self._since = owner, 0

    async def changes(self, again: bool) -> list[str]:
        """again: Redis was unreachable, and may have lost its data."""
        since, complete, ids = await self._here.jobs.changes(self._owner, self._since)
        if complete and not again:
            jobs = await self._here.jobs.read(ids)
        else:
            newest = await self._here.jobs.page(self._owner, limits.JOBS_PAGE)
            ids = list(self._known)
            jobs = newest.jobs + await self._here.jobs.read([id for id in ids if id not in {j.id for j in newest.jobs}])
        self._since = since
        found = {job.id for job in jobs}
        return await self._events(sorted(jobs, key=lambda job: job.created_s), [id for id in ids if id not in found])


def _event(kind: str, data: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _event_id(job: Job) -> str:
    return f"{job.id}:{job.state.value}:{job.updated_s}"
