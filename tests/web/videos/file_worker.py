"""A file worker double for tests of the web: it takes real tasks from the store, and stores canned results."""

import io
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import httpx
from PIL import Image

from stream.records.candidates import CANDIDATES, Candidate, CandidateSearch
from stream.records.job_store import JobTask
from stream.records.jobs import Job, Media, StoredResult
from tests.waiting import PATIENCE_S
from tests.web.http_checks import until
from tests.web.running_site import Site
from workers.files.tasks import result_key

RESULT = bytes(range(256)) * 1000
SUGGESTED = (
    Candidate(
        number=1,
        subject="point:0.25,0.5",
        box=(0.0, 0.0, 0.5, 1.0),
        area=0.5,
        score=0.9,
        outlines=(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), ((0.1, 0.1), (0.2, 0.1), (0.2, 0.2), (0.1, 0.2))),
    ),
    Candidate(
        number=2,
        subject="class:lamp",
        box=(0.7, 0.2, 0.2, 0.2),
        area=0.04,
        score=0.6,
        outlines=(((0.7, 0.2), (0.9, 0.2), (0.9, 0.4), (0.7, 0.4)),),
    ),
)
"""The left half, with a hole, and a square on the right."""


def submitted(http: httpx.Client, **fields: object) -> str:
    """The path of a new job. fields: of the request."""
    response = http.post("/api/jobs", json=fields)
    assert response.status_code == 202, response.text
    return str(response.headers["location"])


class FileWorkerDouble:
    """Runs one step per call, on the site's event loop."""

    def __init__(
        self, site: Site, name: str = "files", result: bytes = RESULT, candidates: Sequence[Candidate] = ()
    ) -> None:
        """candidates: what every search finds."""
        self._site, self._name, self._result, self._candidates = site, name, result, tuple(candidates)
        self._jobs = site.context.jobs

    def task(self) -> JobTask:
        task = self._site.call(self._jobs.take_task(self._name, PATIENCE_S / 2))
        assert task is not None, "there is no task"
        return task

    def plan(self, segments: int = 1) -> Job:
        task = self.task()
        assert task.name == "plan"
        media = Media(duration_s=1, fps=30, width=64, height=48, bytes=100)
        return self._site.call(self._jobs.planned(task, "", [30] * segments, media))

    def segment(self) -> Job:
        return self._site.call(self._jobs.segment_done(self.task(), 30))

    def join(self, packed: Path | None = None) -> Job:
        """packed: a zip to use as the result, instead of the one from `pictures`."""
        task = self.task()
        assert task.name == "join"
        results = {}
        for output in task.job.outputs:
            key = result_key(task.job, output)
            if task.job.search is not None:
                self.put(key, CANDIDATES.dump_json(self._candidates))
            elif packed is not None:
                self._site.context.storage.put(key, packed)
            else:
                self.put(key, pictures() if output.format == "png" else self._result)
            size = self._site.context.storage.size(key)
            results[output.name] = StoredResult(key=key, bytes=size, mime=output.kind.mime)
        return self._site.call(self._jobs.joined(task, results))

    def put(self, key: str, content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x"
            path.write_bytes(content)
            self._site.context.storage.put(key, path)

    def fail(self, reason: str = "engine", detail: str = "the engine gave up") -> Job:
        return self._site.call(self._jobs.fail(self.task(), reason, detail))

    def run(self) -> Job:
        self.plan()
        self.segment()
        return self.join()

    def search(self) -> CandidateSearch:
        """Run a search. Returns what was searched for."""
        planned = self.plan()
        assert planned.search is not None
        self.segment()
        self.join()
        return planned.search

    def clear(self) -> None:
        """Remove all jobs, so that none is left for the next test."""
        for job in self._site.call(self._jobs.summaries()):
            if not job.state.final:
                self._site.call(self._jobs.cancel(job.id))
            self._site.call(self._jobs.remove(job.id))


def pictures() -> bytes:
    """A zip with one red picture and its timestamps, as a worker writes it."""
    picture, packed = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (64, 48), "#cc2020").save(picture, "PNG")
    with zipfile.ZipFile(packed, "w") as out:
        out.writestr("00001.png", picture.getvalue())
        out.writestr("timestamps.txt", "0.0\n")
    return packed.getvalue()


def done(http: httpx.Client, site: Site, **fields: object) -> str:
    """The path of a finished job. fields: of the request."""
    path = submitted(http, **fields)
    FileWorkerDouble(site).run()
    until(http, path, state="done")
    return path
