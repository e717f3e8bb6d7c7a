-- ARGV: worker, known to be dead. Queues its task again at once; returns the record of the job if this failed it, in a
-- list. The task of a worker of an older version is queued again when its lease expires.
local id, name, t = task_of(ARGV[1])
if not id then return {} end
lapse(id, name, t)
return FINAL[find(id).state] and { all(id) } or {}
