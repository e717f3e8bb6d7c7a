"""A question to several Redis servers at the same time: one that does not answer causes no delay."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from redis.exceptions import RedisError

from stream.records.redis_errors import reason

T = TypeVar("T")

POLL_S = 0.4  # leaves time to connect to the master within `redis_link.REPLY_TIMEOUT_S`


async def poll(questions: Sequence[Coroutine[Any, Any, T]], enough: Callable[[list[T]], bool]) -> tuple[list[T], str]:
    """The answers that arrive until there are enough of them, for POLL_S at most; and why others failed, in one
    line."""
    tasks = [asyncio.ensure_future(_answer(question)) for question in questions]
    answers: list[T] = []
    errors: set[str] = set()
    try:
        for coming in asyncio.as_completed(tasks, timeout=POLL_S):
            answer, error = await coming
            if error:
                errors.add(error)
            else:
                answers += answer
                if enough(answers):
                    break
    except TimeoutError:
        errors.add("no answer in time")
    finally:
        for task in tasks:
            task.cancel()
    return answers, "; ".join(sorted(errors))


async def _answer(question: Coroutine[Any, Any, T]) -> tuple[list[T], str]:
    """The answer in a list, or else the error."""
    try:
        return [await question], ""
    except (RedisError, OSError) as exc:
        return [], reason(exc)
