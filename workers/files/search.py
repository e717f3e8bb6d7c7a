"""The tasks of a job that lists what could be a subject in a frame, instead of matting a video."""

from pathlib import Path

from stream.records.candidates import CANDIDATES, CandidateSearch
from stream.records.jobs import Job, Media
from stream.settings import Settings
from workers import choosers
from workers.choosers import candidates
from workers.choosers.base import Lister, Search
from workers.files.plan import Plan

FILE, MIME = "candidates.json", "application/json"


def make_plan(search: CandidateSearch, job: Job, settings: Settings) -> tuple[Plan, Media]:
    """One task for one frame. Raises UsageError if no chooser can list candidates."""
    name, _ = choosers.choose_listing(search.chooser, settings)
    plan = Plan(
        clock=(1, 1000),
        offset=0,
        size=(0, 0),
        spans=((None, None),),
        reads=((None, None),),
        frames=(1,),
        engine="",
        chooser=name,
        threads=settings.cores(),
    )
    return plan, job.media or Media()


def run(search: CandidateSearch, job: Job, video: Path, chooser: Lister, settings: Settings) -> bytes:
    """The candidates in the job's first frame, as JSON. Raises InputError, EngineError."""
    frame, at_s = candidates.frame_at(video, job.start_s, settings, job.stream)
    wanted = Search(smallest=search.smallest, most=search.most)
    return CANDIDATES.dump_json(tuple(candidates.find(chooser, frame, at_s, wanted)))
