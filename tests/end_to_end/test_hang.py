"""Live video when a worker hangs: the spare takes over, and a client that calls again has its picture within 10 s."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.caller import calling
from tests.end_to_end.serving import Served, alive, serving
from tests.rtc import Camera, until
from tests.servers import asynctest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("loopback")]
OPTIONS = {"engine": "hanging", "key": "#00c83c", "background": "color:#ff0000"}


@pytest.fixture(scope="module")
def hang_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hang") / "file"


@pytest.fixture(scope="module")
def hangable(tmp_path_factory: pytest.TempPathFactory, hang_file: Path) -> Iterator[Served]:
    limits = {"live_sessions": "4", "udp_address": "127.0.0.1", "hang_file": str(hang_file)}
    program = "tests.end_to_end.mattebox_with_hanging_engine"
    with serving(tmp_path_factory.mktemp("hangable"), "-v", program=program, **limits) as served:
        yield served


@pytest.mark.parametrize("cause", ["stopped", "stuck engine"])
@asynctest
async def test_the_picture_is_back_within_10_s_after_a_worker_hangs(
    hangable: Served, hang_file: Path, cause: str
) -> None:
    async with calling(hangable.url, Camera(rate=20), **OPTIONS) as caller:
        await until(lambda: len(caller.pictures) > 40, timeout_s=20, what="pictures")
        await until(lambda: hangable.idle_spare() is not None, timeout_s=40, what="a spare")
        worker = hangable.busy_worker()
        hung_s = time.monotonic()
        if cause == "stuck engine":
            hang_file.touch()
            await until(lambda: "hangs and was killed" in hangable.log.read_text(), timeout_s=15, what="the kill")
            hang_file.unlink()
        else:
            os.kill(worker, signal.SIGSTOP)
        async with calling(hangable.url, Camera(rate=20), **OPTIONS) as again:
            await until(lambda: again.pictures, timeout_s=15, what="a picture")
            print(f"{cause}: a picture after {time.monotonic() - hung_s:.1f} s")
            assert time.monotonic() - hung_s < 10
            assert hangable.busy_worker() != worker
            assert not alive(worker)
            await again.hang_up()


@asynctest
async def test_an_outage_of_redis_kills_no_worker(hangable: Served) -> None:
    """Much longer than the silence after which a worker is killed."""
    async with calling(hangable.url, Camera(rate=20), **OPTIONS) as caller:
        await until(lambda: len(caller.pictures) > 20, timeout_s=20, what="pictures")
        before = hangable.programs("worker") + hangable.programs("web")
        (redis,) = hangable.programs("redis")
        os.kill(redis, signal.SIGSTOP)
        seen, end_s = len(caller.pictures), time.monotonic() + 17
        await until(lambda: time.monotonic() > end_s, timeout_s=20, what="17 s")
        os.kill(redis, signal.SIGCONT)
        after = hangable.programs("worker") + hangable.programs("web")
        assert set(before) <= set(after), "one more may be a new spare"
        assert len(caller.pictures) > seen + 100, "live video continues"
        await caller.hang_up()
