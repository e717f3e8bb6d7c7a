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

mattebox:job:<id>            hash: the record of a file job, one field each; fence, told, of_frames, counted_s and
                             mark_… are the store's own
mattebox:tasks:<job>         hash: "plan", "0000" … for its segments, "join" → where each stands, as JSON
mattebox:todo:<job>          list: those of them that anybody may take, next first
mattebox:plan:<job>          string: how it was cut, in the workers' own words
mattebox:jobs                zset: id → when its record will be gone
mattebox:jobs-of:<owner>     zset: the same, of one owner's jobs
mattebox:leases              zset: "<job> <task>" that a worker has → when its lease lapses
mattebox:ready:<owner>       zset: jobs with something to take → by priority, then age
mattebox:owners              zset: owner → when a worker last took something of his
mattebox:wake                list: a token for each task that came up, for workers that wait
mattebox:ended               zset: job → when it ended
mattebox:hooks               zset: job whose owner is to be told of its end → when
mattebox:removed:<job>       string: it was removed, and not lost
mattebox:job-key:<n>:<owner>:<key>  string: the job that was made under an idempotency key
"""

from functools import cache
from importlib.resources import files

from stream import limits

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

LOSSES = 25  # workers that were lost with one task: enough; a task that kills is known after DELIVERIES
JOB_KEEP_S = limits.JOBS_KEEP_S + 86_400  # a job since its last touch; longer, so that its files go first
JOB_REPEAT_S = 86_400  # an idempotency key
REMOVED_S = 86_400  # that a job was removed: workers that have something of it still must not write it again
HOOK_S = 60  # to tell an owner of a job's end, before somebody else tries
POISON = "poison"  # the reason of what was given up because it takes its workers down
TRIES = 3  # of a task that failed as it should not; the fault of the job is told at once
PRIORITY_MOST = limits.PRIORITY_MOST
RATE_S = 2.0  # over which frames a second are counted

NO_STREAM, NAME_TAKEN, FULL = "no_stream", "name_taken", "full"  # answers to an offer without a worker
PLAN, JOIN = "plan", "join"  # the names of the tasks of a job; those of its segments are numbers
SEGMENT = "%04d"

SESSIONS = PREFIX + "sessions"
OFFERS = PREFIX + "offers"
WORKERS = PREFIX + "workers"
JOBS = PREFIX + "jobs"
ENDED = PREFIX + "ended"
HOOKS = PREFIX + "hooks"
WAKE = PREFIX + "wake"


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


def job(id: str) -> str:
    return f"{PREFIX}job:{id}"


def jobs_of(owner: str) -> str:
    return f"{PREFIX}jobs-of:{owner}"


def job_key(owner: str, key: str) -> str:
    return f"{PREFIX}job-key:{len(owner)}:{owner}:{key}"


def spent(key: str) -> str:
    return f"{PREFIX}spent:{key}"


def segment_name(number: int) -> str:
    """The task of a job's segment. number: from 0."""
    return SEGMENT % number


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
    "LOSSES",
    "JOB_KEEP_S",
    "JOB_REPEAT_S",
    "REMOVED_S",
    "HOOK_S",
    "POISON",
    "TRIES",
    "PRIORITY_MOST",
    "RATE_S",
    "NO_STREAM",
    "NAME_TAKEN",
    "FULL",
    "PLAN",
    "JOIN",
    "SEGMENT",
)


@cache
def script(name: str) -> str:
    """The text of `lua/<name>.lua` behind the constants above and the functions that all scripts of its kind share."""
    folder = files("stream.records") / "lua"
    shared = "job_common" if name.startswith("job_") else "common"
    constants = [f"local {word} = {globals()[word]!r}" for word in _IN_LUA]
    return "\n".join([*constants, *((folder / f"{part}.lua").read_text() for part in ("clock", shared, name))])
