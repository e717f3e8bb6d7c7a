"""Redis behind Sentinel: the master is killed, or hangs, under a live video and a file job. The service goes on."""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.caller import Caller, calling
from tests.end_to_end.serving import Served, serving
from tests.media import numbered_clip
from tests.rtc import Camera, until
from tests.sentinels import Group, sentinel_group
from tests.servers import asynctest
from tests.web.videos.file_worker import submitted
from tests.web.videos.tus import uploaded

pytestmark = pytest.mark.usefixtures("loopback")

LIMIT_S = 15.0
OPTIONS = {"engine": "chroma", "key": "#00ff00", "background": "color:#0000ff"}
FRAMES = 400


@pytest.mark.slow
@asynctest
async def test_the_master_is_killed_twice_and_hangs_once_under_live_video_and_a_job(tmp_path: Path) -> None:
    clip = await asyncio.to_thread(numbered_clip, tmp_path / "film.mp4", FRAMES, 640, 360)
    short = await asyncio.to_thread(numbered_clip, tmp_path / "short.mp4", 5, 64, 64)
    with (
        sentinel_group("a-password", "another-password") as group,
        serving(
            tmp_path, "-v", live_sessions="8", max_offers="1000", udp_address="127.0.0.1", redis_url=group.url()
        ) as served,
        httpx.Client(base_url=served.url, timeout=30) as http,
    ):
        async with calling(served.url, Camera(rate=20), **OPTIONS) as caller:
            await until(lambda: len(caller.pictures) > 10, what="pictures")
            upload = await asyncio.to_thread(uploaded, http, clip.read_bytes())
            job = await asyncio.to_thread(submitted, http, upload=upload, options=OPTIONS)
            running = await seen(http, job, lambda found: found["progress"]["frames"] > 0)
            assert running["state"] == "running", "the clip is too short for this test"
            first = await failed_over(group, group.kill, caller, offered_again(served))
            done = await seen(http, job, lambda found: found["state"] not in ("queued", "running"))
            assert (done["state"], done["progress"]["frames"]) == ("done", FRAMES), done
            await asyncio.to_thread(group.revive, first)
            assert await asyncio.to_thread(group.replicas) == [first], "the old master follows the new one"
            uploads = [await asyncio.to_thread(uploaded, http, short.read_bytes()) for _ in range(2)]
            work = offered_again(served), taken_again(http, uploads[0])
            second = await failed_over(group, group.freeze, caller, *work)
            group.thaw(second)
            assert await asyncio.to_thread(group.replicas) == [second], "the old master follows the new one"
            await failed_over(group, group.kill, caller, offered_again(served), taken_again(http, uploads[1]))
            assert (await caller.record())["state"] == "live"
            await caller.hang_up()


async def failed_over(
    group: Group, fail: Callable[[int], None], caller: Caller, *work: Coroutine[Any, Any, float]
) -> int:
    """Let the master fail. Returns its port. work: returns when new work was taken, in seconds by the clock."""
    port = await asyncio.to_thread(group.master)
    fail(port)
    began_s, before = time.monotonic(), len(caller.pictures)
    took_s = [at_s - began_s for at_s in await asyncio.gather(*work)]
    await asyncio.sleep(1)
    times_s = [began_s, *(at_s for at_s, _ in caller.pictures[before:]), time.monotonic()]
    longest_s = max(later_s - at_s for at_s, later_s in itertools.pairwise(times_s))
    print(f"new work after {took_s} s; the longest pause of the live video was {longest_s:.2f} s")
    assert longest_s < 2, "live video goes on"
    assert max(took_s) < LIMIT_S
    return port


async def seen(http: httpx.Client, job: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job, once the condition is true; requests that fail meanwhile are repeated."""
    until_s = time.monotonic() + 90
    while True:
        response = await asyncio.to_thread(http.get, job)
        found: dict[str, Any] = response.json()
        if response.is_success and condition(found):
            return found
        assert response.is_success or found["code"] == "store_down", found
        assert time.monotonic() < until_s, found
        await asyncio.sleep(0.1)


async def offered_again(served: Served) -> float:
    """When a worker has taken a new offer. One that Redis has accepted must be answered: "no_worker" is a fault."""
    until_s = time.monotonic() + LIMIT_S
    while (refusal := await offer(served)) is not None:
        assert refusal["code"] == "store_down", refusal
        assert time.monotonic() < until_s, refusal
        await asyncio.sleep(0.2)
    return time.monotonic()


async def taken_again(http: httpx.Client, upload: str) -> float:
    """When a worker has taken a new job."""
    until_s = time.monotonic() + LIMIT_S
    body = {"upload": upload, "options": OPTIONS}
    while (response := await asyncio.to_thread(http.post, "/api/jobs", json=body)).status_code != 202:
        assert response.json()["code"] == "store_down", response.text
        assert time.monotonic() < until_s
        await asyncio.sleep(0.2)
    await seen(http, response.headers["location"], lambda found: found["state"] in ("running", "done"))
    return time.monotonic()


async def offer(served: Served) -> dict[str, Any] | None:
    """Offer another video and wait for its pictures. Returns the problem if it is refused."""
    async with httpx.AsyncClient(base_url=served.url) as http:
        other = Caller(http, Camera(rate=10))
        try:
            response = await other.call(**OPTIONS)
            if response.status_code != 201:
                return dict(response.json())
            await until(lambda: len(other.pictures) > 3, what="pictures of the new video")
            await other.hang_up()
            return None
        finally:
            await other.close()
