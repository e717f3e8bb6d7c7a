"""The product's own time limits, lengthened, and its pauses, shortened.

Under load a limit of a second ends what a test has begun, such as a call to Redis or the lease of a worker. Tests of
the parallel part run with long limits; tests of the limits themselves are marked `clocked`, or set short ones. What the
product checks once a second would make every test of it wait for the next check.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stream.records import lifetimes
from tests.waiting import PATIENCE_S

_LIVES = ("LEASE_S", "GRACE_S", "BEAT_S")
_LIMITS = (
    ("stream.records.redis_link", "REPLY_TIMEOUT_S"),
    ("stream.records.live_store", "REPLY_TIMEOUT_S"),
    ("stream.records.redis_poll", "POLL_S"),
    ("stream.records.redis_cluster", "POLL_S"),
    ("stream.records.redis_sentinel", "POLL_S"),
    ("stream.serve.redis_server", "_START_S"),
    ("commands.client", "_TIMEOUT_S"),
)
_PAUSES = (
    ("commands.jobs", "_POLL_S"),
    ("web.app", "_REAP_S"),
    ("web.app", "_REAP_FEEDS_S"),
    ("web.http.token_check", "_SLOW_S"),
    ("web.videos.events", "_POLL_S"),
    ("web.videos.webhooks", "IDLE_S"),
)
_PAUSE_S = 0.1


@contextmanager
def patient() -> Iterator[None]:
    """Within it, this process waits PATIENCE_S for Redis and servers, and leases and heartbeats last as long. Between
    checks it waits _PAUSE_S."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _LIVES:
            patch.setattr(lifetimes, name, PATIENCE_S)
        for value, places in ((PATIENCE_S, _LIMITS), (_PAUSE_S, _PAUSES)):
            for module, name in places:
                if module in sys.modules:  # what no test has imported need not be installed
                    patch.setattr(f"{module}.{name}", value)
        _forget_scripts()
        yield
    _forget_scripts()


def _forget_scripts() -> None:
    """The text of the Lua scripts contains the lifetimes."""
    if scripts := sys.modules.get("stream.records.scripts"):
        scripts.script.cache_clear()
