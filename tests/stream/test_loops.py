"""Loops that outlive exceptions, which are logged."""

import asyncio
import contextlib
import logging

import pytest

from stream import loops as stream_loops
from stream.errors import StoreDown
from stream.loops import Loops, start
from tests.servers import asynctest

LOG = logging.getLogger("tests.loops")


class Rounds:
    """Raises what it is given, one each round; when nothing is left, `done` is set."""

    def __init__(self, *raised: BaseException) -> None:
        self.raised, self.done = list(raised), asyncio.Event()

    async def work(self) -> None:
        if self.raised:
            raise self.raised.pop(0)
        self.done.set()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_loops, "_RETRY_S", 0.01)


@pytest.mark.usefixtures("soon")
@asynctest
async def test_no_exception_ends_a_loop_and_each_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    rounds = Rounds(KeyError("odd"), StoreDown("Redis is away"), asyncio.CancelledError(), ValueError("odder"))
    async with asyncio.timeout(5):
        await Loops(LOG, "work goes on").repeat(rounds.work, until=rounds.done)
    assert [record.getMessage() for record in caplog.records] == [
        "a round of Rounds.work failed; it is repeated",
        "Redis is away; work goes on",
        "a round of Rounds.work failed; it is repeated",
        "a round of Rounds.work failed; it is repeated",
    ]
    assert [record.exc_info is not None for record in caplog.records] == [True, False, True, True]


@pytest.mark.usefixtures("soon")
@asynctest
async def test_redis_out_of_reach_is_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    rounds = Rounds(*[StoreDown("Redis is away")] * 5)
    async with asyncio.timeout(5):
        await Loops(LOG, "work goes on").repeat(rounds.work, until=rounds.done)
    assert len(caplog.records) == 1


@asynctest
async def test_after_an_exception_a_loop_waits_a_second() -> None:
    rounds = Rounds(KeyError("odd"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.9):
            await Loops(LOG, "").repeat(rounds.work, until=rounds.done)
    assert not rounds.raised


@asynctest
async def test_a_loop_that_is_cancelled_ends() -> None:
    loop = asyncio.create_task(Loops(LOG, "").repeat(Rounds().work))
    await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.wait([loop], timeout=1)
    assert loop.cancelled()


@asynctest
async def test_the_exception_of_a_single_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    loops = Loops(LOG, "")
    loops.start(Rounds(KeyError("odd")).work())
    await loops.settle(1.0)
    assert [record.getMessage() for record in caplog.records] == ["Rounds.work failed: 'odd'"]


@asynctest
async def test_a_loop_whose_work_suppresses_its_cancellation_ends_too() -> None:
    began, rounds = asyncio.Event(), 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    loop = asyncio.create_task(Loops(LOG, "").repeat(work))
    await began.wait()
    loop.cancel()
    await asyncio.wait([loop], timeout=5)
    assert loop.cancelled()
    assert rounds == 1


@pytest.mark.long
@asynctest
async def test_loops_run_within_a_block(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = Rounds(), Rounds(KeyError("odd"))
    async with asyncio.timeout(5), Loops(LOG, "").running((good.work, 0.01), (bad.work, 0.01)):
        await good.done.wait()
        await bad.done.wait()
    assert [record.getMessage() for record in caplog.records] == ["a round of Rounds.work failed; it is repeated"]
    assert len(asyncio.all_tasks()) == 1


@asynctest
async def test_a_task_that_fails_is_logged_and_one_that_is_cancelled_is_not(caplog: pytest.LogCaptureFixture) -> None:
    failed, cancelled = start(Rounds(KeyError("odd")).work(), LOG), start(asyncio.sleep(60), LOG)
    cancelled.cancel()
    await asyncio.wait([failed, cancelled])
    await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == ["Rounds.work failed: 'odd'"]
