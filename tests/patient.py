"""The product's own time limits, lengthened.

Under load a limit of a second ends what a test has begun, such as a call to Redis or the lease of a worker. Tests of
the parallel part run with long limits; tests of the limits themselves are marked `clocked`, or set short ones.
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
    ("stream.serve.redis_server", "_START_S"),
    ("commands.client", "_TIMEOUT_S"),
)


@contextmanager
def patient() -> Iterator[None]:
    """Within it, this process waits PATIENCE_S for Redis and servers, and leases and heartbeats last as long."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _LIVES:
            patch.setattr(lifetimes, name, PATIENCE_S)
        for module, name in _LIMITS:
            if module in sys.modules:  # what no test has imported need not be installed
                patch.setattr(f"{module}.{name}", PATIENCE_S)
        _forget_scripts()
        yield
    _forget_scripts()


def _forget_scripts() -> None:
    """The text of the Lua scripts contains the lifetimes."""
    if scripts := sys.modules.get("stream.records.scripts"):
        scripts.script.cache_clear()
