"""All keys that Mattebox uses in Redis. Does not import a Redis client.

Every key has an expiry that its use renews (`lifetimes.py`), so that nothing stays after a crash of all processes.
Only feeds have none: they are kept until their owner removes them.

mattebox:session:<id>        hash: the record, one field each; late, entry and kept_s (when its expiry was last
                             extended) are internal
mattebox:sessions            zset: id → when its record expires
mattebox:due                 zset: id → when its lease or offer expires
mattebox:offers              stream, read by the group `workers`: offers not yet taken
mattebox:answer:<id>         list with one element: a worker's answer
mattebox:name:<name>         string: id of the session that publishes under the name
mattebox:commands:<worker>   stream: commands for a worker
mattebox:worker:<id>         string: the worker's last heartbeat
mattebox:workers             zset: id → when the heartbeat expires
mattebox:swept               string: exists while no process needs to look for consumers that are gone
mattebox:spent:<key>         number: uses of a rate-limited resource in the current window
mattebox:ping                string: written by health checks

mattebox:job:<id>            hash: the record of a file job, one field each; fence, told (webhook attempts), of_frames,
                             counted_s, kept_s, mark_…, sum_… and sums_s are internal
mattebox:tasks:<job>         hash: task name ("plan", "0000" … for segments, "join") → its state, as JSON
mattebox:todo:<job>          list: the tasks ready to be taken, next first
mattebox:plan:<job>          string: the plan, in the workers' format
mattebox:jobs                zset: id → when its record expires
mattebox:jobs-of:<owner>     zset: the same for one owner's jobs
mattebox:listed:<owner>      zset: id → when it was created, in microseconds; without jobs that are not listed
mattebox:unfinished:<owner>  set: ids of the jobs that have not ended
mattebox:stored:<owner>      hash: id → bytes in storage; "total": their sum
mattebox:changed:<owner>     zset: id of a listed job → when it last changed or was removed, in microseconds
mattebox:leases              zset: "<job> <task>" of running tasks → when the lease expires
mattebox:running             zset: "<job> <task> <owner>" of running tasks, in alphabetical order
mattebox:busy                hash: owner → its running tasks
mattebox:turns               zset: owners with tasks ready → their running tasks, then when they were last served
mattebox:task-of:<worker>    string: "<job> <task>" that the worker runs
mattebox:ready:<owner>       zset: jobs with tasks ready, ordered by priority, then age
mattebox:owners              zset: owner → when a worker last took a task of the owner
mattebox:wake                list: a token per new task, which wakes a waiting worker
mattebox:waiting             hash: job → its tasks that wait for a worker; "total": their sum
mattebox:speeds              hash: running job → its frames per second in thousandths; "total": their sum
mattebox:state-of            hash: job → its state, as counted in:
mattebox:states              hash: state → number of jobs
mattebox:repair              hash: how far the indexes have been checked
mattebox:repaired            string: exists for a moment after that
mattebox:ended               zset: job → when it ended
mattebox:hooks               zset: ended job with a webhook → when to call it next
mattebox:removed:<job>       string: marks that the job was removed, not lost
mattebox:job-key:<n>:<owner>:<key>  string: id of the job created with an idempotency key

mattebox:feed:<id>           hash: the record of a feed, one field each; renewed_s (the lease), deaths, losses and
                             trial_s are internal. No expiry
mattebox:feed-secrets:<id>   hash: complete addresses and tokens; `request`: digest of the request that created it. No
                             expiry
mattebox:feeds-of:<owner>    zset: id → when it was created, in microseconds. No expiry
mattebox:feed-names:<owner>  hash: name → id. No expiry
mattebox:feeds-waiting       zset: id → since when it waits for a worker. No expiry
mattebox:feeds-unmatted      zset: those of them that need no mattes. No expiry
mattebox:feeds-on:<worker>   zset: ids of the feeds that the worker runs → since when
mattebox:feeds-repaired      string: exists for a moment after the queues were compared
mattebox:feeds-leased        zset: id → when its worker's lease expires. No expiry
mattebox:feeds-seen          string: when a process last checked the leases
mattebox:feeds-grace         string: exists while expired leases are not given up, after an outage of Redis
mattebox:feed-removed:<id>   string: marks that the feed was removed, not lost
mattebox:feed-key:<n>:<owner>:<key>  string: id of the feed created with an idempotency key
"""

PREFIX = "mattebox:"
GROUP = "workers"

PING = PREFIX + "ping"
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


def unfinished(owner: str) -> str:
    return f"{PREFIX}unfinished:{owner}"


def stored(owner: str) -> str:
    return f"{PREFIX}stored:{owner}"


def job_key(owner: str, key: str) -> str:
    return f"{PREFIX}job-key:{len(owner)}:{owner}:{key}"


def feed(id: str) -> str:
    return f"{PREFIX}feed:{id}"


def feed_secrets(id: str) -> str:
    return f"{PREFIX}feed-secrets:{id}"


def feeds_of(owner: str) -> str:
    return f"{PREFIX}feeds-of:{owner}"


def feed_key(owner: str, key: str) -> str:
    return f"{PREFIX}feed-key:{len(owner)}:{owner}:{key}"


def spent(key: str) -> str:
    return f"{PREFIX}spent:{key}"
