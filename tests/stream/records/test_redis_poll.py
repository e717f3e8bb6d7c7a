"""A question to several servers: those that fail or do not answer delay nothing."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisGone

from stream.records import redis_poll
from stream.records.redis_poll import poll
from tests.servers import asynctest


async def answer(text: str) -> str:
    return text


async def fail(text: str) -> str:
    raise RedisGone(f"{text}\nmore")


class Silent:
    """A server that does not answer. cancelled: whether it is no longer waited for."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def answer(self) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return ""


@asynctest
async def test_it_ends_as_soon_as_there_are_enough_answers() -> None:
    silent = Silent()
    answers, errors = await poll([answer("a"), silent.answer(), answer("b")], lambda found: len(found) == 2)
    assert (sorted(answers), errors) == (["a", "b"], "")
    await silent.cancelled.wait()


@asynctest
async def test_errors_are_reported_once_in_one_line() -> None:
    questions = [fail("odd"), answer("a"), fail("odd"), fail("even")]
    assert await poll(questions, lambda found: False) == (["a"], "even; odd")


@asynctest
async def test_what_does_not_answer_in_time_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_poll, "POLL_S", 0.2)
    silent = Silent()
    assert await poll([silent.answer()], lambda found: True) == ([], "no answer in time")
    await silent.cancelled.wait()
