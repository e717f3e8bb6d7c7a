"""The Lua scripts that Redis runs, each a state transition that is atomic: their text, with the constants they need."""

from functools import cache
from importlib.resources import files

from stream import limits
from stream.records import jobs, lifetimes, live, redis_keys

_CONSTANTS = (
    (redis_keys, ("PREFIX", "GROUP")),
    (lifetimes, ("LEASE_S", "GRACE_S", "KEEP_S", "ANSWER_S", "QUEUE_S", "CLAIM_MS", "DELIVERIES", "WAITING")),
    (lifetimes, ("LOSSES", "JOB_KEEP_S", "JOB_REPEAT_S", "REMOVED_S", "HOOK_S", "TRIES", "RATE_S")),
    (jobs, ("PLAN", "JOIN", "SEGMENT", "POISON")),
    (live, ("NO_STREAM", "NAME_TAKEN", "FULL")),
    (limits, ("PRIORITY_MOST",)),
)


@cache
def script(name: str) -> str:
    """The text of `lua/<name>.lua`, such as "live/claim", preceded by the constants above, the clock and the functions
    that all scripts of its folder share."""
    folder = files("stream.records") / "lua"
    constants = [f"local {name} = {getattr(module, name)!r}" for module, names in _CONSTANTS for name in names]
    parts = ("clock", f"{name.partition('/')[0]}/common", name)
    return "\n".join([*constants, *((folder / f"{part}.lua").read_text() for part in parts)])
