"""Every key that Mattebox keeps in Redis, how long each lives, and the scripts that move them. One place, no client.

Every key expires by itself if nobody touches it any more, so a crash of everybody leaves nothing behind for ever.

mattebox:session:<id>        hash: the record, one field each; `late` and `entry` are the store's own
mattebox:sessions            zset: id → when its record will be gone
mattebox:due                 zset: id → when its lease lapses, or when nobody waits for its offer any longer
mattebox:offers              stream, read by the group `workers`: offers that nobody has taken
mattebox:answer:<id>         list of one: a worker's answer
mattebox:name:<name>         string: id of the session that publishes under that name
mattebox:commands:<worker>   stream: what a worker is to do
mattebox:worker:<id>         string: its last heartbeat
mattebox:workers             zset: id → when that heartbeat is stale
mattebox:spent:<key>         number: uses of something that is limited, in the window of time until it expires
"""

from functools import cache
from importlib.resources import files

PREFIX = "mattebox:"
GROUP = "workers"

LEASE_S = 4.0  # a session whose worker is silent for so long is in danger
GRACE_S = 3.0  # and so long after that was first noticed it is lost: time to renew when it was Redis that was away
KEEP_S = 600  # final records, and records that nobody renews
BEAT_S = 4.0  # a worker without a heartbeat for so long is gone
ANSWER_S = 30  # an answer that nobody fetched
QUEUE_S = 3600  # streams of offers and commands that nobody uses
CLAIM_MS = 1000  # an offer delivered but not taken for so long goes to another worker
DELIVERIES = 3  # and after so many of these it is dropped
WAITING = 256  # offers that may wait at once; more are refused at once

SESSIONS = PREFIX + "sessions"
OFFERS = PREFIX + "offers"
WORKERS = PREFIX + "workers"


def session(id: str) -> str:
    return f"{PREFIX}session:{id}"


def answer(id: str) -> str:
    return f"{PREFIX}answer:{id}"


def name(name: str) -> str:
    return f"{PREFIX}name:{name}"


def commands(worker: str) -> str:
    return f"{PREFIX}commands:{worker}"


def worker(id: str) -> str:
    return f"{PREFIX}worker:{id}"


def spent(key: str) -> str:
    return f"{PREFIX}spent:{key}"


_IN_LUA = (
    "PREFIX",
    "GROUP",
    "LEASE_S",
    "GRACE_S",
    "KEEP_S",
    "ANSWER_S",
    "QUEUE_S",
    "CLAIM_MS",
    "DELIVERIES",
    "WAITING",
)


@cache
def script(name: str) -> str:
    """The text of `lua/<name>.lua` behind the numbers above and the functions that all scripts share."""
    folder = files("stream") / "lua"
    numbers = [f"local {word} = {globals()[word]!r}" for word in _IN_LUA]
    return "\n".join([*numbers, *((folder / f"{part}.lua").read_text() for part in ("common", name))])
