import asyncio
import time

import pytest

from stream.records.redis_link import RedisLink
from stream.records.turns import Turns, reply_timeout
from tests.servers import RedisServer, asynctest
from tests.waiting import PATIENCE_S


@asynctest
async def test_the_number_of_calls_at_a_time_is_bounded() -> None:
    turns, running, most, order = Turns(3), 0, 0, list[int]()

    async def call(number: int) -> None:
        nonlocal running, most
        async with turns.turn():
            running, order[len(order) :] = running + 1, [number]
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1

    await asyncio.gather(*(call(n) for n in range(20)))
    assert (most, order) == (3, list(range(20)))


@asynctest
async def test_a_cancelled_call_gives_its_turn_back() -> None:
    turns = Turns(1)

    async def call() -> None:
        async with turns.turn():
            await asyncio.sleep(3600)

    for _ in range(3):
        holder, waiting = asyncio.create_task(call()), asyncio.create_task(call())
        await asyncio.sleep(0)
        for task in (waiting, holder):
            task.cancel()
        await asyncio.wait((holder, waiting))
    async with turns.turn():
        pass


@asynctest
async def test_calls_that_wait_for_a_silent_server_fail_together() -> None:
    turns, begun = Turns(2), 0

    async def call() -> None:
        nonlocal begun
        async with turns.turn():
            begun += 1
            async with reply_timeout(0.1):
                await asyncio.sleep(3600)

    results = await asyncio.gather(*(call() for _ in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {TimeoutError}
    assert begun == 2, "the others do not wait for the server one after the other"
    async with turns.turn():  # later calls try again
        pass


@asynctest
async def test_the_timeout_of_a_reply_ends_the_call() -> None:
    with pytest.raises(TimeoutError):
        async with reply_timeout(0.1):
            await asyncio.sleep(3600)


@pytest.mark.long
@asynctest
async def test_the_timeout_of_a_reply_does_not_run_while_the_loop_is_busy() -> None:
    replied = asyncio.Event()

    def work() -> None:
        time.sleep(0.5)  # a call that holds up the event loop for longer than the limit
        asyncio.get_running_loop().call_soon(replied.set)

    async with reply_timeout(0.3):
        asyncio.get_running_loop().call_soon(work)
        await replied.wait()


@pytest.mark.clocked
@asynctest
async def test_a_reply_that_came_while_the_loop_was_busy_is_not_missed(server: RedisServer) -> None:
    link = RedisLink(server.url)
    await link.ping()
    asyncio.get_running_loop().call_later(0.001, time.sleep, 1.3)
    assert await link.ask("BLPOP", "none", 0.01, wait_s=0.01) is None
    await link.close()


@asynctest
async def test_connections_are_bounded_and_blocking_calls_do_not_hold_up_others(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.records.redis_link._CALLS", 4)
    monkeypatch.setattr("stream.records.redis_link._WAITS", 6)
    link = RedisLink(server.url)
    with server.client() as raw:
        before = len(raw.client_list())
        waits = [asyncio.create_task(link.ask("BLPOP", f"none:{n}", PATIENCE_S, wait_s=PATIENCE_S)) for n in range(20)]
        await asyncio.sleep(0)
        assert all(await asyncio.gather(*(link.ping() for _ in range(200))))
        assert not any(wait.done() for wait in waits)
        assert len(raw.client_list()) - before <= 10
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    await link.close()
