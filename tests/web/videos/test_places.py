"""The place in the queue and the estimated start of waiting jobs, over HTTP."""

import json
from typing import Any

import httpx
import pytest

from stream.records.jobs import Media
from tests.media import TALK
from tests.waiting import until
from tests.web.running_site import Site
from tests.web.videos.file_worker import FileWorkerDouble, submitted
from tests.web.videos.tus import uploaded

UNKNOWN = (None, None)


@pytest.fixture
def files(users: Site) -> FileWorkerDouble:
    return FileWorkerDouble(users)


def place(http: httpx.Client, path: str) -> tuple[Any, Any]:
    progress = http.get(path).json()["progress"]
    return progress["ahead"], progress["starts_in_s"]


@pytest.mark.long
def test_places_and_times_of_several_users(users: Site, files: FileWorkerDouble) -> None:
    with users.client("alice-token") as alice, users.client("bob-token") as bob:
        videos = {http: uploaded(http, TALK.read_bytes()) for http in (alice, bob)}  # 120 frames
        running = submitted(alice, upload=videos[alice])
        assert alice.get(running).json()["progress"]["ahead"] in (0, None)
        task = files.task()
        media = Media(duration_s=4, fps=30, width=64, height=48)
        users.call(users.context.jobs.planned(task, "", [100], media))
        task = files.task()
        paths = [submitted(http, upload=videos[http]) for http in (alice, alice, bob)]
        owners = (alice, alice, bob)
        until(lambda: [place(*each) for each in zip(owners, paths, strict=True)] == [(1, None), (2, None), (0, None)])
        _measured(users, running, fps=10)  # 100 frames take 10 s, 120 take 12 s
        until(lambda: [place(*each)[1] for each in zip(owners, paths, strict=True)] == [25, 35, 10])
        assert place(alice, running) == UNKNOWN, "it has started"
        listed = {job["id"]: job["progress"] for job in bob.get("/api/jobs").json()["jobs"]}
        id = paths[2].rpartition("/")[2]
        assert {name: (each["ahead"], each["starts_in_s"]) for name, each in listed.items()} == {id: (0, 10)}
        alice.patch(paths[0], json={"paused": True}).raise_for_status()
        assert place(alice, paths[0]) == UNKNOWN
        until(lambda: place(alice, paths[1]) == (1, 25))


def _measured(site: Site, path: str, fps: float) -> None:
    """Sets the rate of a running job, which Redis would measure over some seconds."""
    store = site.context.jobs
    job = site.call(store.job(path.rpartition("/")[2]))
    assert job is not None
    progress = job.progress.model_copy(update={"fps": fps}).model_dump_json()
    site.call(store.link.ask("HSET", f"mattebox:job:{job.id}", "progress", progress))


def test_an_event_is_sent_when_a_place_changes(users: Site, files: FileWorkerDouble) -> None:
    with users.client("alice-token") as alice, users.client("bob-token") as bob:
        first = submitted(alice, upload=uploaded(alice, TALK.read_bytes()))
        second = submitted(bob, upload=uploaded(bob, TALK.read_bytes()))
        seen = []
        with bob.stream("GET", f"{second}/events") as events:
            for line in events.iter_lines():
                if not line.startswith("data: "):
                    continue
                seen.append(json.loads(line[6:])["progress"]["ahead"])
                if seen[-1] == 1:
                    alice.delete(first).raise_for_status()
                if seen[-1] == 0:
                    break
        assert [ahead for ahead in seen if ahead is not None] == [1, 0]
