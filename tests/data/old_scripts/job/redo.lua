-- ARGV: job, worker, fence, then the segments whose files are missing: queue them again, before the join.
local j, t, refused = claimed(ARGV[1], JOIN, ARGV[2], ARGV[3])
if refused then return refused end
redis.call('HDEL', tasks_key(j.id), JOIN)
release(j.id, JOIN)
for i = 4, #ARGV do
  put(j.id, ARGV[i], new_task())
  redis.call('RPUSH', todo_key(j.id), ARGV[i])
end
if j.state == 'running' and not has_running(j.id) then set(j.id, 'state', 'queued') end
offer(j.id)
progress(j.id, true)
keep(j.id)
return { 'ok', all(j.id) }
