"""The background loops of a web process: none ends by an exception."""

import logging

import pytest

from stream import loops
from stream.errors import StoreDown
from stream.settings import Settings
from tests.waiting import until
from tests.web.running_site import running
from tests.workers.failing_link import OddLink
from web import app
from web.app import background_loops
from web.videos import sweeper

LOOPS = {
    "LiveStore.reap": "live/reap",
    "JobStore.reap_jobs": "job/reap",
    "FeedStore.reap": "feed/reap",
    "Sweeper.wait_and_sweep": "ZRANGE",
    "Deliveries.deliver_due": "job/hook",
    "SecretCheck.look": "SET",
}
"""Loop → the script or command that it calls each round."""


@pytest.mark.parametrize("error", [KeyError("odd"), StoreDown("Redis is away"), TimeoutError("late")], ids=repr)
def test_no_exception_ends_a_loop(
    settings: Settings,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    monkeypatch.setattr(loops, "_RETRY_S", 0.01)
    monkeypatch.setattr(sweeper, "_INTERVAL_S", 0.05)
    monkeypatch.setattr(app, "CHECK_S", 0.05)
    link = OddLink(redis_url, error)
    link.odd |= set(LOOPS.values())
    with caplog.at_level(logging.WARNING, "web.app"), running(settings, link, worker=False):
        until(lambda: not link.odd)
        link.calls.clear()
        until(lambda: all(link.calls[call] >= 2 for call in LOOPS.values()))
    lines = [record.getMessage() for record in caplog.records]
    if isinstance(error, StoreDown):
        assert lines[0] == "Redis is away; retrying"
    else:
        assert {f"a round of {loop} failed; it is repeated" for loop in LOOPS} == set(lines)


def test_every_loop_is_tested(settings: Settings, redis_url: str) -> None:
    with running(settings, redis_url, worker=False) as site:
        found = {work.__qualname__ for work, _ in background_loops(site.context)}
    assert found == LOOPS.keys()
