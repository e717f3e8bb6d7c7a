"""Random sequences of calls on one session, by its worker and others, compared with a small model."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.errors import BadMove, Fenced
from stream.records import redis_keys
from stream.records.live import MOVES, Session, SessionState
from stream.records.live_store import LiveStore
from stream.records.options import Options
from tests.servers import RedisServer
from tests.stream.records.live import new
from tests.waiting import PATIENCE_S

STEPS = ["take", "accept", "renew", "change", "end", "lapse", *(f"move {state}" for state in SessionState)]


class Model:
    """The expected state of the session after each step."""

    def __init__(self) -> None:
        self.state, self.owned = SessionState.OFFERED, False

    def step(self, step: str) -> str:
        """The expected outcome: "ok", "none", "lost", "bad" or "fenced"."""
        match step.split():
            case ["accept"]:  # this session is not a viewer
                return "none"
            case ["take"]:
                if self.state is not SessionState.OFFERED:
                    return "none"
                self.state, self.owned = SessionState.CONNECTING, True
            case ["renew"]:
                return "ok" if self.owned and not self.state.final else "lost"
            case ["change"]:
                return "bad" if self.state.final else "ok"
            case ["end"] if self.state is SessionState.OFFERED:
                self.state = SessionState.ENDED
            case ["lapse"] if not self.state.final:
                self.state = SessionState.FAILED if self.state is SessionState.OFFERED else SessionState.LOST
                self.owned = False
            case ["move", state]:
                return self._move(SessionState(state))
        return "ok"

    def _move(self, to: SessionState) -> str:
        if not self.owned:
            return "fenced"
        if to not in MOVES[self.state] and to is not self.state:
            return "bad"
        self.state = to
        return "ok"


async def do(store: LiveStore, server: RedisServer, step: str, session: Session, held: list[Session]) -> str:
    owned = held[-1] if held else session.model_copy(update={"worker": "w1", "fence": 1})
    match step.split():
        case ["take"]:
            taken = await store.take("w1", 0)
            held += [taken[0]] if taken else []
            return "ok" if taken else "none"
        case ["accept"]:
            return "ok" if await store.accept("w2", session.id) else "none"
        case ["renew"]:
            return "lost" if await store.renew([owned]) else "ok"
        case ["change"]:
            await store.change(session.id, Options(engine="chroma"))
        case ["end"]:
            await store.end(session.id, "deleted")
        case ["lapse"]:
            with server.client() as raw:  # as if the lease had expired; marked, then given up
                for _ in range(2):
                    raw.zadd(f"{redis_keys.PREFIX}due", {session.id: 1}, xx=True)
                    await store.reap()
        case ["move", state]:
            await store.move(owned, SessionState(state))
    return "ok"


async def play(server: RedisServer, steps: list[str]) -> None:
    with server.client() as raw:
        raw.flushall()
    store, session, model = LiveStore(server.url), new(), Model()
    held: list[Session] = []
    waiting = asyncio.create_task(store.offer(session, "v=0", PATIENCE_S))
    while await store.session(session.id) is None:
        await asyncio.sleep(0.001)
    for step in steps:
        try:
            outcome = await do(store, server, step, session, held)
        except (BadMove, Fenced) as exc:
            outcome = "bad" if isinstance(exc, BadMove) else "fenced"
        found = await store.session(session.id)
        assert found is not None
        assert (outcome, found.state) == (model.step(step), model.state)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await store.close()


@pytest.mark.long
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=8))
def test_random_calls_match_the_model(server: RedisServer, steps: list[str]) -> None:
    asyncio.run(play(server, steps))


@pytest.mark.parametrize("end", ["move ended", "lapse"])
def test_a_session_from_take_to_end(server: RedisServer, end: str) -> None:
    asyncio.run(
        play(server, ["take", "renew", "move live", "change", "end", "renew", end, "renew", "move live", "take"])
    )
