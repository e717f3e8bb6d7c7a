-- ARGV: job, segment, worker, fence, its number of frames, note for the join task, which follows the last segment.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
t.state, t.frames, t.note = 'done', tonumber(ARGV[5]), ARGV[6]
put(j.id, ARGV[2], t)
release(j.id, ARGV[2])
if all_segments_done(j.id) and redis.call('HEXISTS', tasks_key(j.id), JOIN) == 0 then
  put_new(j.id, JOIN)
  redis.call('RPUSH', todo_key(j.id), JOIN)
end
offer(j.id)
progress(j.id, true)
keep(j.id)
return { 'ok', all(j.id) }
