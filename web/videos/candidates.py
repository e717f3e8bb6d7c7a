"""POST /api/candidates: what could be a subject in one frame of an upload, to choose from on the pages."""

import tempfile
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from stream import limits
from stream.records.candidates import CANDIDATES, Candidate, CandidateSearch
from stream.records.choosers import lister_names
from stream.records.jobs import Job, Output, VideoStreamNumber
from stream.storage import Storage
from web.context import Here, Owner, spend
from web.http.problems import Problem
from web.http.threads import in_thread
from web.videos.job_requests import PREVIEW, check_stream, complete_upload
from web.videos.unlisted_jobs import existing_s, result_of

router = APIRouter(prefix="/api", tags=["jobs"])
_LIMIT_S = 180.0  # asking a network at every point of a grid takes long on a CPU
_SEARCHES, _SEARCHES_WINDOW_S = 30, 60


class CandidatesRequest(CandidateSearch):
    """upload: the id of a complete upload, a video or a picture. at_s: the time of the frame, in seconds from the start
    of the video. stream: as in POST /api/jobs."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"upload": "5f6b6d0e9f7a4a0f8d3c2b1a00112233", "at_s": 2.0}]}
    )
    upload: str = Field(min_length=1, max_length=limits.ID)
    at_s: Annotated[float, Field(ge=0)] = 0.0
    stream: VideoStreamNumber = None


class CandidateList(BaseModel):
    """From the largest to the smallest."""

    candidates: tuple[Candidate, ...]


@router.post("/candidates", operation_id="list_candidates", summary="What could be a subject in a frame")
async def candidates(body: CandidatesRequest, request: Request, owner: Owner, here: Here) -> CandidateList:
    """Each with its outline, and with the prompt of `subjects` that chooses it. Answered before your other jobs; takes
    seconds, on a server without a GPU up to a minute or two."""
    await spend(here, request, "candidates", owner, _SEARCHES, _SEARCHES_WINDOW_S)
    _check_chooser(body.chooser)
    upload = await complete_upload(here, owner, body.upload)
    check_stream(body.stream, upload.media)
    still = bool(upload.media and upload.media.still)
    job = Job(
        id=str(uuid4()),
        owner=owner,
        source=upload.source,
        media=upload.media,
        search=CandidateSearch.model_validate(body.model_dump(include=set(CandidateSearch.model_fields))),
        outputs=(Output(name=PREVIEW),),
        start_s=0.0 if still else existing_s(body.at_s, upload.media),
        stream=body.stream,
        priority=limits.PRIORITY_MOST,
        listed=False,
    )
    async with result_of(here, job, _LIMIT_S, "search") as done:
        content = await in_thread(_content, here.storage, done.results[PREVIEW].key)
    return CandidateList(candidates=CANDIDATES.validate_json(content))


def _check_chooser(name: str) -> None:
    """Raise Problem 422 for a chooser that cannot list candidates."""
    if name not in lister_names():
        detail = f"{name!r} does not list candidates; use one of: {', '.join(lister_names())}"
        raise Problem(422, "invalid", detail, field="chooser")


def _content(storage: Storage, key: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return storage.local(key, Path(folder)).read_bytes()
