"""Progress by server-sent events: /api/jobs/events for all of one's jobs, /api/jobs/{id}/events for one until it ends.

A `job` event holds the job as GET gives it, whenever something of it changed; `removed` its id; `notice` says when the
records are out of reach and when they are back. A comment comes where nothing else did, so that no proxy hangs up.
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
from web.http.problems import Problem
from web.videos.jobs import PATH, listed, owned, shown

router = APIRouter(prefix=PATH, tags=["jobs"])
_LOOK_S = 0.5
_BEAT_S = 15.0
_RETRY_MS = 2000
_MOST = 24  # streams of one user at one process; a browser opens six to a server at most
_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
_AWAY = {"code": "store_down", "detail": "the records cannot be reached; news come when they are back"}
_BACK = {"code": "ok", "detail": "the records are back"}


@router.get("/events", response_class=StreamingResponse, responses=_RESPONSES)
async def of_all(owner: Owner, here: Here) -> Response:
    """Your jobs as they are, then each as it changes; until you leave."""
    return _answer(here, owner, "")


@router.get("/{id}/events", response_class=StreamingResponse, responses=_RESPONSES)
async def of_one(id: str, request: Request, owner: Owner, here: Here) -> Response:
    """One job until it ends. Whoever has its last event already and comes back is told to stay away (204)."""
    job = await owned(here, owner, id)
    if job.state.final and request.headers.get("last-event-id") == _mark(job):
        return Response(status_code=204)
    return _answer(here, owner, job.id)


def _answer(here: Context, owner: str, id: str) -> Response:
    if here.watch.open[owner] >= _MOST:
        raise Problem(429, "too_many", f"{_MOST} streams of events are open", retry_s=5)
    news = _counted(here, owner, id)
    return StreamingResponse(news, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _counted(here: Context, owner: str, id: str) -> AsyncIterator[str]:
    here.watch.open[owner] += 1
    try:
        async for text in _news(here, owner, id):
            yield text
    finally:
        here.watch.left(owner)


async def _news(here: Context, owner: str, id: str) -> AsyncIterator[str]:
    told: dict[str, str] = {}
    away, spoke_s = False, time.monotonic()
    yield f"retry: {_RETRY_MS}\n\n"
    while not here.watch.closed:
        texts: list[str] = []
        try:
            jobs = await _look(here, owner, id)
        except StoreDown:
            texts += [] if away else [_event("notice", _AWAY)]
            away = True
        else:
            texts += [_event("notice", _BACK)] if away else []
            away = False
            texts += _changes(here, jobs, told)
            if id and (not jobs or jobs[0].state.final):
                yield "".join(texts)
                return
        if texts or time.monotonic() - spoke_s > _BEAT_S:
            yield "".join(texts) or ": here\n\n"
            spoke_s = time.monotonic()
        await here.watch.pause(_LOOK_S)


async def _look(here: Context, owner: str, id: str) -> Sequence[Job]:
    if not id:
        return listed(await here.watch.jobs(owner))
    job = await here.jobs.job(id)
    return [job] if job else []


def _changes(here: Context, jobs: Sequence[Job], told: dict[str, str]) -> list[str]:
    """What is new since `told`, which is brought up to date; oldest first."""
    texts = []
    for job in reversed(jobs):
        text = shown(here, job).model_dump_json()
        if told.get(job.id) != text:
            told[job.id] = text
            texts.append(f"id: {_mark(job)}\nevent: job\ndata: {text}\n\n")
    for id in told.keys() - {job.id for job in jobs}:
        del told[id]
        texts.append(_event("removed", {"id": id}))
    return texts


def _event(kind: str, data: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _mark(job: Job) -> str:
    return f"{job.id}:{job.state.value}:{job.updated_s}"
