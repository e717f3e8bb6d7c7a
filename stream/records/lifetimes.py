"""How long things live in Redis, and how often work is retried: leases, heartbeats, records, attempts.

In seconds, unless the name says otherwise.
"""

from stream import limits

LEASE_S = 4.0  # lifetime of a worker's lease on a session or task
GRACE_S = 3.0  # an expired lease is given up only after this: its owner can still renew it after an outage of Redis
KEEP_S = 600  # lifetime of ended sessions, and of records not renewed
BEAT_S = 4.0  # a worker without a heartbeat for this long is gone
ANSWER_S = 30  # lifetime of an answer not fetched
QUEUE_S = 3600  # lifetime of unused streams of offers and commands
CLAIM_MS = 1000  # an offer delivered but not taken for this long goes to another worker
DELIVERIES = 3  # of an offer, and crashes of a task's process, after which it is given up as poison
WAITING = 256  # maximum number of waiting offers; more are refused
LOSSES = 25  # workers lost with one task, after which its job is given up as poison
JOB_KEEP_S = limits.JOBS_KEEP_S + 86_400  # lifetime of an unused job record: files are removed first
JOB_REPEAT_S = 86_400  # lifetime of an idempotency key
REMOVED_S = 86_400  # lifetime of the mark of a removed job, so that workers do not restore it
HOOK_S = 60  # reservation of a webhook for one process
TRIES = 3  # attempts of a task after unexpected errors; errors of the job itself fail at once
SECRET_S = 60  # lifetime of the fingerprint of web's secret, renewed every 20 s
RATE_S = 2.0  # window for a job's frames per second
CHANGES_S = 60  # how long changes of jobs are remembered; an event stream that missed more reads all jobs again
FEED_LEASE_S = 3.0  # lifetime of a worker's lease on a feed, renewed every half second
FEED_SILENCE_S = 1.5  # no process reached Redis for this long: leases that expired meanwhile get FEED_LEASE_S more
FEED_PROVEN_S = 60.0  # a feed that ran this long forgets its deaths and losses; also the longest trial, and the first
FEED_TRIAL_S = 5.0  # the shortest trial of a feed whose worker died: it lasts twice as long as the feed ran before
FEED_APART_S = 0.4  # how long a suspect waits for a worker without a feed on trial: workers ask four times a second
FEED_DOUBT = 8  # factor, per loss, of the time that a suspect's neighbours must have run before it joins them
FEED_LOSSES = 3  # deaths of workers that only this feed can have caused, or unexpected errors; then it fails
UPLOAD_LEASE_S = 5.0  # lifetime of a connection's lease on an upload, renewed every 1.5 s
UPLOAD_SPARE_S = 86_400  # how much longer than the upload its record is kept: the sweeper removes its objects first
