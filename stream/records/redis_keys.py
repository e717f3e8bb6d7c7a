"""All keys that Mattebox uses in Redis. Does not import a Redis client.

They begin with a prefix: `mattebox:`, or that of REDIS_URL (`redis_address.py`). In a cluster its name is in braces,
as `{mattebox}:`: a hash tag, so that all keys are in one hash slot, on one node. Every script may use all of them.

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
mattebox:whole-worker:<id>   string: the same, with what was added since format 1, if it has any
mattebox:workers             zset: id → when the heartbeat expires
mattebox:swept               string: exists while no process needs to look for consumers that are gone
mattebox:spent:<key>         number: uses of a rate-limited resource in the current window
mattebox:ping                string: written by health checks
mattebox:web-secret          string: fingerprint of the secret of the web processes

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

mattebox:upload:<id>         hash: an upload that web stores in a bucket: its record, as JSON, and what has arrived.
                             arriving: whether it is incomplete; writer, lease_until_s: who may write to it; next_part
mattebox:upload-parts:<id>   list: number and ETag of each part of its multipart upload, in order
mattebox:uploads             zset: id → when it expires
mattebox:uploads-of:<owner>  hash: id → its size in bytes

mattebox:feed:<id>           hash: the record of a feed, one field each; renewed_s (the lease), deaths, losses,
                             trial_s and whole_report (report with what was added since format 1) are internal. No
                             expiry
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
mattebox:feeds               set: ids of all feeds. No expiry

Channels, on which messages are published (`feed_pictures.py`):

mattebox:pictures:<worker>   requests to a worker for the picture of a feed
mattebox:picture:<id>        the answer to one request
"""

from dataclasses import dataclass

PREFIX = "mattebox:"
GROUP = "workers"


@dataclass(frozen=True)
class RedisKeys:
    """The names of the keys. prefix: with the colon at its end. No key has the prefix alone as its name."""

    prefix: str = PREFIX

    @property
    def ping(self) -> str:
        return f"{self.prefix}ping"

    @property
    def web_secret(self) -> str:
        return f"{self.prefix}web-secret"

    @property
    def sessions(self) -> str:
        return f"{self.prefix}sessions"

    @property
    def offers(self) -> str:
        return f"{self.prefix}offers"

    @property
    def workers(self) -> str:
        return f"{self.prefix}workers"

    @property
    def jobs(self) -> str:
        return f"{self.prefix}jobs"

    @property
    def ended(self) -> str:
        return f"{self.prefix}ended"

    @property
    def hooks(self) -> str:
        return f"{self.prefix}hooks"

    @property
    def wake(self) -> str:
        return f"{self.prefix}wake"

    @property
    def uploads(self) -> str:
        return f"{self.prefix}uploads"

    def session(self, id: str) -> str:
        return f"{self.prefix}session:{id}"

    def answer(self, id: str) -> str:
        return f"{self.prefix}answer:{id}"

    def name(self, name: str) -> str:
        return f"{self.prefix}name:{name}"

    def commands(self, worker: str) -> str:
        return f"{self.prefix}commands:{worker}"

    def worker(self, id: str) -> str:
        return f"{self.prefix}worker:{id}"

    def whole_worker(self, id: str) -> str:
        return f"{self.prefix}whole-worker:{id}"

    def job(self, id: str) -> str:
        return f"{self.prefix}job:{id}"

    def jobs_of(self, owner: str) -> str:
        return f"{self.prefix}jobs-of:{owner}"

    def unfinished(self, owner: str) -> str:
        return f"{self.prefix}unfinished:{owner}"

    def stored(self, owner: str) -> str:
        return f"{self.prefix}stored:{owner}"

    def job_key(self, owner: str, key: str) -> str:
        return f"{self.prefix}job-key:{len(owner)}:{owner}:{key}"

    def pictures(self, worker: str) -> str:
        """The channel on which a worker is asked for pictures of its feeds."""
        return f"{self.prefix}pictures:{worker}"

    def picture(self, id: str) -> str:
        """The channel of one answer."""
        return f"{self.prefix}picture:{id}"

    def upload(self, id: str) -> str:
        return f"{self.prefix}upload:{id}"

    def upload_parts(self, id: str) -> str:
        return f"{self.prefix}upload-parts:{id}"

    def uploads_of(self, owner: str) -> str:
        return f"{self.prefix}uploads-of:{owner}"

    def feed(self, id: str) -> str:
        return f"{self.prefix}feed:{id}"

    def feed_secrets(self, id: str) -> str:
        return f"{self.prefix}feed-secrets:{id}"

    def feeds_of(self, owner: str) -> str:
        return f"{self.prefix}feeds-of:{owner}"

    def feed_key(self, owner: str, key: str) -> str:
        return f"{self.prefix}feed-key:{len(owner)}:{owner}:{key}"

    def spent(self, key: str) -> str:
        return f"{self.prefix}spent:{key}"
