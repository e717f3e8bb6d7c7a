"""`Film`: one video of a batch, with the job that mattes it; and what identifies its result.

The id of the job is a hash of the video and of the request. Whatever is stored under it belongs to this version of the
video and to these options, so an interrupted batch continues with it, and another request does not.
"""

import hashlib
import json
import os
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from stream import limits
from stream.errors import BackgroundError
from stream.records.jobs import Job, Output
from stream.records.options import Options
from stream.storage import keys
from workers.batch.inputs import Input

_OF_REQUEST = frozenset({"options", "outputs", "start_s", "end_s", "stream", "width", "height", "metadata"})


class Film(BaseModel):
    """A video and its job. place, name, size, version: as in `Input`. address: for people. result: the name of its
    result, below the place of the results."""

    model_config = ConfigDict(frozen=True)

    job: Job
    place: str
    name: str
    size: int
    version: str
    address: str
    result: str


@dataclass(frozen=True)
class Request:
    """How all videos of a batch are matted. job: a job without id, source and title, and with one output. weights: of
    engines whose weights can be chosen, as text."""

    job: Job
    weights: str = ""

    @property
    def output(self) -> Output:
        return self.job.outputs[0]

    def fingerprint(self) -> str:
        """A hash of everything in the request that changes results. Options with default values are left out, so that
        it does not change when options are added. Raises BackgroundError if a background file is missing."""
        fields = self.job.model_dump_json(include=set(_OF_REQUEST), exclude_defaults=True)
        return _hash(fields, self.weights, _background_version(self.job.options))

    def film(self, source: Input, fingerprint: str) -> Film:
        """The video with its job. fingerprint: from `fingerprint`."""
        result = source.stem + self.output.kind.result_suffix
        id = _hash(source.place, source.name, str(source.size), source.version, result, fingerprint)
        # A video at an http(s) address is fetched by the plan, which then sets `source`.
        origin = {"source": keys.job_source(id)} if source.place else {"url": source.name}
        title = source.name.rpartition("/")[2][: limits.TITLE] if source.place else ""
        job = self.job.model_copy(update={"id": id, "title": title, **origin})
        return Film(
            job=job, place=source.place, name=source.name, size=source.size, version=source.version,
            address=source.address, result=result,
        )  # fmt: skip


def _hash(*texts: str) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:32]


def _background_version(options: Options) -> str:
    if not options.background.path:
        return ""
    try:
        status = os.stat(options.background.path)
    except OSError as exc:
        raise BackgroundError(f"{options.background.path}: {exc.strerror}") from None
    return f"{status.st_size} {status.st_mtime_ns}"
