"""Feeds of `mattebox serve` when its parts die: a worker, Redis, and all of it. The output goes on."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.serving import Served, serving
from tests.rtsp import RtspServer
from tests.udp_receiver import UdpReceiver

OPTIONS = {"engine": "chroma", "key": "#00c83c", "background": "color:#0000ff"}
SETTINGS = {"allow_private_urls": "1", "live_sessions": "4", "rtsp_retry_s": "0.5"}
BACK_S = 5.0

pytestmark = pytest.mark.slow


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    server = RtspServer("--user", "ann:pass-word")
    yield server
    server.kill()


def feed_from(served: Served, camera: RtspServer, receiver: UdpReceiver) -> str:
    """Create a feed, and wait until it is received. Returns its path."""
    body = {
        "name": "stage", "source": camera.url(user="ann:pass-word"), "width": 320, "height": 240,
        "outputs": [{"address": receiver.url}], "options": OPTIONS,
    }  # fmt: skip
    response = httpx.post(f"{served.url}/api/feeds", json=body, timeout=10)
    assert response.status_code == 201, response.text
    path = str(response.headers["location"])
    received(served, path, receiver)
    return path


def received(served: Served, path: str, receiver: UdpReceiver) -> dict[str, Any]:
    """Wait until the feed is live, and pictures with its background arrive. Returns it."""
    feed = seen(served, path, lambda f: f["source"]["state"] == "live" and f["outputs"][0]["state"] == "live")
    receiver.clear()
    until_s = time.monotonic() + 20
    while not (pictures := receiver.pictures()):
        assert time.monotonic() < until_s, "no pictures"
        time.sleep(0.1)
    assert pictures[-1][5, 5, 2] > 200, "blue"
    return feed


def seen(served: Served, path: str, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    until_s, found = time.monotonic() + 60, None
    while time.monotonic() < until_s:
        try:
            found = httpx.get(served.url + path, timeout=10).json()
        except httpx.TransportError:
            continue
        if "source" in found and condition(found):
            return dict(found)
        time.sleep(0.05)
    raise AssertionError(f"never happened: {found}; {served.log.read_text()}")


def process_of(feed: dict[str, Any]) -> int:
    return int(feed["worker"].split("-")[-2])  # HOST-PID-RANDOM


def test_outputs_resume_within_seconds_after_their_worker_was_killed(tmp_path: Path, camera: RtspServer) -> None:
    pauses_s = []
    with UdpReceiver() as receiver, serving(tmp_path, "-v", **SETTINGS) as served:
        path = feed_from(served, camera, receiver)
        for _ in range(2):  # the third time within a minute it fails as poison
            while served.idle_spare() is None:
                time.sleep(0.1)
            before = received(served, path, receiver)
            since_s = time.monotonic()
            os.kill(process_of(before), signal.SIGKILL)
            after = seen(served, path, lambda f: f["worker"] not in ("", before["worker"]))  # noqa: B023
            assert after["state"] == "running"
            seen(served, path, lambda f: f["outputs"] and f["outputs"][0]["frames"] > 5)
            pauses_s.append(receiver.longest_pause_s(since_s))
            time.sleep(1)
        received(served, path, receiver)
    print(f"pauses: {[round(pause_s, 2) for pause_s in pauses_s]} s")
    assert max(pauses_s) < BACK_S


def test_a_feed_goes_on_while_redis_is_restarted(tmp_path: Path, camera: RtspServer) -> None:
    with UdpReceiver() as receiver, serving(tmp_path, "-v", **SETTINGS) as served:
        path = feed_from(served, camera, receiver)
        before = received(served, path, receiver)
        since_s = time.monotonic()
        os.kill(served.programs("redis")[-1], signal.SIGKILL)
        time.sleep(8)
        assert receiver.longest_pause_s(since_s) < 1.0
        after = received(served, path, receiver)
        assert (after["worker"], after["started_s"]) == (before["worker"], before["started_s"]), "the same run"


def test_a_feed_is_there_again_after_a_restart_of_everything(tmp_path: Path, camera: RtspServer) -> None:
    with UdpReceiver() as receiver:
        with serving(tmp_path, "-v", **SETTINGS) as served:
            path = feed_from(served, camera, receiver)
        receiver.clear()
        time.sleep(0.5)
        assert receiver.count() == 0, "nothing runs any more"
        with serving(tmp_path, "-v", **SETTINGS) as served:
            received(served, path, receiver)
            served.process.kill()  # without any chance to hand the feed back
            served.process.wait()
            time.sleep(1)
        with serving(tmp_path, "-v", **SETTINGS) as served:
            received(served, path, receiver)
            assert httpx.delete(served.url + path).status_code == 204
            time.sleep(1.5)
            receiver.clear()
            time.sleep(0.5)
            assert receiver.count() == 0
        assert "pass-word" not in served.log.read_text()


def test_a_feed_that_kills_its_workers_is_kept_apart_and_fails_alone(tmp_path: Path, camera: RtspServer) -> None:
    program = "tests.end_to_end.mattebox_with_killing_engine"
    with UdpReceiver() as receiver, serving(tmp_path, "-v", program=program, **SETTINGS) as served:
        path = feed_from(served, camera, receiver)
        body = {"name": "poison", "source": camera.url(user="ann:pass-word"), "options": {"engine": "killing"}}
        poison = str(httpx.post(f"{served.url}/api/feeds", json=body, timeout=10).headers["location"])
        suspect = seen(served, poison, lambda f: f["reason"] == "suspect")
        assert "it waits for a worker" in suspect["detail"]
        received(served, path, receiver)
        assert httpx.patch(served.url + path, json={"running": False}, timeout=10).status_code == 200
        failed = seen(served, poison, lambda f: f["state"] == "failed")
        assert failed["reason"] == "poison"
        assert "start it again" in failed["detail"]
        assert httpx.patch(served.url + path, json={"running": True}, timeout=10).status_code == 200
        received(served, path, receiver)
