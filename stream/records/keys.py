"""All keys that Mattebox uses in Redis, their lifetimes, and the text of the scripts. Does not import a Redis client.

Every key has an expiry that its use renews, so that nothing stays after a crash of all processes.

mattebox:session:<id>        hash: the record, one field each; `late` and `entry` are internal
mattebox:sessions            zset: id → when its record expires
mattebox:due                 zset: id → when its lease or offer expires
mattebox:offers              stream, read by the group `workers`: offers not yet taken
mattebox:answer:<id>         list with one element: a worker's answer
mattebox:name:<name>         string: id of the session that publishes under the name
mattebox:commands:<worker>   stream: commands for a worker
mattebox:worker:<id>         string: the worker's last heartbeat
mattebox:workers             zset: id → when the heartbeat expires
mattebox:spent:<key>         number: uses of a rate-limited resource in the current window

mattebox:job:<id>            hash: the record of a file job, one field each; fence, told (webhook attempts), of_frames,
                             counted_s and mark_… are internal
mattebox:tasks:<job>         hash: task name ("plan", "0000" … for segments, "join") → its state, as JSON
mattebox:todo:<job>          list: the tasks ready to be taken, next first
mattebox:plan:<job>          string: the plan, in the workers' format
mattebox:jobs                zset: id → when its record expires
mattebox:jobs-of:<owner>     zset: the same for one owner's jobs
mattebox:leases              zset: "<job> <task>" of running tasks → when the lease expires
mattebox:ready:<owner>       zset: jobs with tasks ready, ordered by priority, then age
mattebox:owners              zset: owner → when a worker last took a task of the owner
mattebox:wake                list: a token per new task, which wakes a waiting worker
mattebox:ended               zset: job → when it ended
mattebox:hooks               zset: ended job with a webhook → when to call it next
mattebox:removed:<job>       string: marks that the job was removed, not lost
mattebox:job-key:<n>:<owner>:<key>  string: id of the job created with an idempotency key
"""

from functools import cache
from importlib.resources import files

from stream import limits

PREFIX = "mattebox:"
GROUP = "workers"

LEASE_S = 4.0  # lifetime of a worker's lease on a session or task
GRACE_S = 3.0  # from noticing an expired lease to giving it up, so that owners can renew after an outage of Redis
KEEP_S = 600  # lifetime of ended sessions, and of records not renewed
BEAT_S = 4.0  # a worker without a heartbeat for this long is gone
ANSWER_S = 30  # lifetime of an answer not fetched
QUEUE_S = 3600  # lifetime of unused streams of offers and commands
CLAIM_MS = 1000  # an offer delivered but not taken for this long goes to another worker
DELIVERIES = 3  # after this many deliveries an offer or task counts as poison
WAITING = 256  # maximum number of waiting offers; more are refused

LOSSES = 25  # lost workers after which a task's job fails; a task that kills its process fails after DELIVERIES
JOB_KEEP_S = limits.JOBS_KEEP_S + 86_400  # lifetime of an unused job record: files are removed first
JOB_REPEAT_S = 86_400  # lifetime of an idempotency key
REMOVED_S = 86_400  # lifetime of the mark of a removed job, so that workers do not restore it
HOOK_S = 60  # reservation of a webhook for one process
POISON = "poison"  # the reason of a job that repeatedly killed its workers
TRIES = 3  # attempts of a task after unexpected errors; errors of the job itself fail at once
PRIORITY_MOST = limits.PRIORITY_MOST
RATE_S = 2.0  # window for a job's frames per second

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


_LUA_CONSTANTS = (
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
    """The text of `lua/<name>.lua`, preceded by the constants above and the functions shared by scripts of its kind."""
    folder = files("stream.records") / "lua"
    shared = "job_common" if name.startswith("job_") else "common"
    constants = [f"local {constant} = {globals()[constant]!r}" for constant in _LUA_CONSTANTS]
    return "\n".join([*constants, *((folder / f"{part}.lua").read_text() for part in ("clock", shared, name))])
