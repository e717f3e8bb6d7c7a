import asyncio

import pytest
from pydantic import SecretStr

from stream.errors import StoreDown
from stream.settings import Settings
from tests.servers import asynctest
from web.http.auth import Gate
from web.http.problems import Problem
from web.http.token_check import TokenCheck


class Count:
    """Counts per key, as `LiveStore.spend` does. down: raise StoreDown."""

    def __init__(self) -> None:
        self.uses: dict[str, int] = {}
        self.down = False

    async def spend(self, key: str, limit: int, window_s: int) -> float:
        if self.down:
            raise StoreDown("Redis is down")
        self.uses[key] = self.uses.get(key, 0) + 1
        return 0.0 if self.uses[key] <= limit else float(window_s)


@pytest.fixture
def count() -> Count:
    return Count()


@pytest.fixture
def check(settings: Settings, count: Count) -> TokenCheck:
    gate = Gate(settings.model_copy(update={"tokens": SecretStr("alice:alice-token,bob:bob-token")}))
    return TokenCheck(gate, count.spend)


@pytest.fixture
def never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers to addresses over the limit, which take a second, never come."""
    monkeypatch.setattr("web.http.token_check._SLOW_S", 3600.0)


async def guess(check: TokenCheck, number: int, host: str = "192.0.2.1") -> None:
    for n in range(number):
        assert await check.user_of(f"guess{n}", host) is None


@pytest.mark.usefixtures("never_answered")
@asynctest
async def test_a_flood_of_guesses_leaves_known_users_alone(check: TokenCheck) -> None:
    assert await check.user_of("alice-token", "192.0.2.1") == "alice"
    await guess(check, 9)
    held = [asyncio.create_task(check.user_of(token, "192.0.2.1")) for token in ("a", "b", "c", "bob-token")]
    await asyncio.sleep(0)
    for token in ("d", "bob-token"):
        with pytest.raises(Problem) as refused:
            await check.user_of(token, "192.0.2.1")
        assert refused.value.status_code == 429, "refused without a check, so that the answer tells nothing"
    assert await check.user_of("alice-token", "192.0.2.1") == "alice"
    assert await check.user_of("bob-token", "192.0.2.2") == "bob", "another address"
    assert not any(task.done() for task in held)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


@asynctest
async def test_a_correct_token_is_accepted_over_the_limit_and_then_known(
    check: TokenCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    await guess(check, 10)
    monkeypatch.setattr("web.http.token_check._SLOW_S", 0.0)
    with pytest.raises(Problem):
        await check.user_of("wrong", "192.0.2.1")
    assert await check.user_of("bob-token", "192.0.2.1") == "bob"
    monkeypatch.setattr("web.http.token_check._SLOW_S", 3600.0)
    assert await check.user_of("bob-token", "192.0.2.1") == "bob"


@asynctest
async def test_a_client_with_a_whole_ipv6_network_is_one_client(check: TokenCheck, count: Count) -> None:
    for n in range(10):
        assert await check.user_of("wrong", f"2001:db8::{n}") is None
    assert list(count.uses.values()) == [10]


@asynctest
async def test_correct_tokens_work_without_redis(
    check: TokenCheck, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.http.token_check._SLOW_S", 0.0)
    count.down = True
    assert await check.user_of("alice-token", "192.0.2.1") == "alice"
    assert await check.user_of("wrong", "192.0.2.1") is None
