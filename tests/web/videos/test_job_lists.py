"""Lists of jobs over HTTP, and many requests at once to a user with many jobs."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
import redis
from pydantic import SecretStr

from stream.records.jobs import Media
from stream.settings import Settings
from tests.media import numbered_clip
from tests.stream.records.jobs import new_job
from tests.web.http_checks import problem
from tests.web.running_site import Site, running
from tests.web.videos.file_worker import FileWorkerDouble
from tests.web.videos.tus import uploaded

KEPT = 120


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 3).read_bytes()


async def fill(site: Site, count: int, owner: str = "") -> None:
    """Give the owner ended jobs."""
    for n in range(count):
        media = Media(duration_s=1, fps=30, width=64, height=48, bytes=1000)
        job = await site.context.jobs.submit(new_job(owner=owner, title=f"film {n}", media=media))
        await site.context.jobs.cancel(job.id)


@pytest.fixture(scope="module")
def kept(site: Site) -> Iterator[Site]:
    site.call(fill(site, KEPT))
    yield site
    FileWorkerDouble(site).clear()


def test_the_list_is_followed_page_by_page(kept: Site, http: httpx.Client) -> None:
    titles, url = list[str](), "/api/jobs?limit=50"
    while url:
        response = http.get(url)
        body = response.json()
        titles += [job["title"] for job in body["jobs"]]
        assert ("next" in response.links) == (body["next"] is not None)
        url = response.links.get("next", {}).get("url", "")
        assert body["next"] is None or body["next"] in url
    assert titles == [f"film {n}" for n in reversed(range(KEPT))]
    assert len(http.get("/api/jobs").json()["jobs"]) == 50
    assert len(http.get("/api/jobs", params={"limit": 200}).json()["jobs"]) == KEPT


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=1", "cursor=../x", f"cursor={'1' * 65}"])
def test_invalid_pages(http: httpx.Client, query: str) -> None:
    problem(http.get(f"/api/jobs?{query}"), 422, "invalid", query.partition("=")[0])


@pytest.mark.long
def test_the_list_reads_the_records_of_its_page_only(kept: Site, http: httpx.Client, valkey: str) -> None:
    with redis.Redis.from_url(valkey, decode_responses=True) as raw:
        ids = [job["id"] for job in http.get("/api/jobs", params={"limit": 3}).json()["jobs"]]
        older = set(raw.zrange("mattebox:listed:", 0, -1)) - set(ids)
        broken = {f"mattebox:job:{id}": raw.hget(f"mattebox:job:{id}", "progress") for id in older}
        for key in broken:
            raw.hset(key, "progress", "not valid JSON")
        assert [job["id"] for job in http.get("/api/jobs", params={"limit": 3}).json()["jobs"]] == ids
        for key, text in broken.items():
            raw.hset(key, "progress", str(text))


class Load:
    """Requests sent at once, each on a connection of its own. times_s: by kind, sorted."""

    def __init__(self, site: Site) -> None:
        self._port = int(site.url.rpartition(":")[2])
        self.statuses: Counter[int] = Counter()
        self.times_s: dict[str, list[float]] = {"list": [], "submit": []}

    async def list_jobs(self, user: str) -> None:
        await self._send("list", user, "GET", "")

    async def submit(self, user: str, upload: str) -> None:
        await self._send("submit", user, "POST", json.dumps({"upload": upload, "options": {"engine": "chroma"}}))

    async def _send(self, kind: str, user: str, method: str, body: str) -> None:
        began_s = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"{method} /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {user}-token\r\n"
        kind_of_body = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{head}{kind_of_body}Connection: close\r\n\r\n{body}".encode())
        answer = await reader.read()
        writer.close()
        self.statuses[int(answer.split(maxsplit=2)[1])] += 1
        self.times_s[kind] = sorted([*self.times_s[kind], time.monotonic() - began_s])


async def together(load: Load, users: dict[str, str], count: int) -> None:
    """`count` lists and `count` submissions by users in turn. users: name → id of an upload."""
    turns = [list(users.items())[n % len(users)] for n in range(count)]
    submits = (load.submit(user, upload) for user, upload in turns)
    await asyncio.gather(*submits, *(load.list_jobs(user) for user, _ in turns))


def measured(settings: Settings, redis_url: str, clip: bytes, owners: int, kept: int, count: int) -> Load:
    names = [f"u{n}" for n in range(owners)]
    tokens = SecretStr(",".join(f"{name}:{name}-token" for name in names))
    with running(settings.model_copy(update={"tokens": tokens}), redis_url, worker=False) as site:
        users = {}
        for name in names:
            for _ in range(0, kept, 100):  # a call of the site takes at most 10 s
                site.call(fill(site, min(kept, 100), name))
            with site.client(f"{name}-token") as http:
                users[name] = uploaded(http, clip)
        load = Load(site)
        asyncio.run(together(load, users, count))
    return load


@pytest.mark.slow
def test_many_lists_and_submissions_at_once(settings: Settings, redis_url: str, clip: bytes) -> None:
    load = measured(settings, redis_url, clip, owners=2, kept=100, count=60)
    assert load.statuses == {200: 60, 202: 60}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.clocked  # a reply of Redis that takes more than a second is an outage
@pytest.mark.parametrize("owners", [1, 10])
def test_200_lists_and_200_submissions_at_once(settings: Settings, redis_url: str, clip: bytes, owners: int) -> None:
    load = measured(settings, redis_url, clip, owners, kept=1000, count=200)
    for kind, times_s in load.times_s.items():
        print(f"{owners} owners, {kind}: p50 {times_s[100]:.2f} s, p99 {times_s[197]:.2f} s")
    assert load.statuses == {200: 200, 202: 200}
