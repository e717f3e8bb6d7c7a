-- ARGV: job, which must have ended.
local j = find(ARGV[1])
if not j then return { 'gone' } end
if not FINAL[j.state] then return { 'bad', j.state } end
redis.call('DEL', job_key(j.id), tasks_key(j.id), todo_key(j.id), plan_key(j.id))
redis.call('SET', removed_key(j.id), 1, 'EX', REMOVED_S)
for _, key in ipairs({ JOBS, ENDED, HOOKS }) do redis.call('ZREM', key, j.id) end
if redis.call('ZSCORE', listed_key(j.owner), j.id) then note_change(j.owner, j.id) end
forget(j.owner, j.id)
return { 'ok' }
