"""The Lua scripts that Redis runs, each a state transition that is atomic: their text, with the constants they need.

Their only declared key is the prefix of all keys. In a cluster it routes a call to the node that has all of them.
"""

from functools import cache
from importlib.resources import files

from stream import limits
from stream.records import feeds, jobs, lifetimes, live, redis_keys

_CONSTANTS = (
    (redis_keys, ("GROUP",)),
    (lifetimes, ("LEASE_S", "GRACE_S", "KEEP_S", "BEAT_S", "ANSWER_S", "QUEUE_S", "CLAIM_MS", "DELIVERIES", "WAITING")),
    (lifetimes, ("LOSSES", "JOB_KEEP_S", "JOB_REPEAT_S", "REMOVED_S", "HOOK_S", "TRIES", "RATE_S", "CHANGES_S")),
    (lifetimes, ("FEED_LEASE_S", "FEED_SILENCE_S", "FEED_PROVEN_S", "FEED_TRIAL_S")),
    (lifetimes, ("FEED_APART_S", "FEED_DOUBT", "FEED_LOSSES")),
    (lifetimes, ("UPLOAD_LEASE_S", "UPLOAD_SPARE_S")),
    (feeds, ("SUSPECT",)),
    (jobs, ("PLAN", "JOIN", "SEGMENT", "POISON", "TOO_MANY", "OVER_QUOTA")),
    (live, ("NO_STREAM", "NAME_TAKEN", "FULL", "NO_WORKER", "NO_ANSWER", "REPLACED", "WORKER_LOST")),
    (limits, ("PRIORITY_MOST",)),
)


_SHARED = {
    "live": ("common",),
    "upload": ("common",),
    "feed": ("common", "deaths"),
    "job": ("keys", "owners", "running", "sums", "common", "poison_jobs"),
}
"""By folder: the functions that all of its scripts share."""

_ADDED = {"job/reap": ("repair",), "job/take": ("repair",)}
"""By script: further shared functions."""


@cache
def script(name: str) -> str:
    """The text of `lua/<name>.lua`, such as "live/claim", preceded by the constants and the shared functions of all
    scripts and of its folder."""
    lua, folder = files("stream.records") / "lua", name.partition("/")[0]
    constants = [f"local {name} = {getattr(module, name)!r}" for module, names in _CONSTANTS for name in names]
    shared = (*_SHARED[folder], *_ADDED.get(name, ()))
    parts = ("clock", "understood", *(f"{folder}/{part}" for part in shared), name)
    return "\n".join([*constants, *((lua / f"{part}.lua").read_text() for part in parts)])
