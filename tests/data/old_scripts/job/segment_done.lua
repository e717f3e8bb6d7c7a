-- ARGV: job, segment, worker, fence, its number of frames, note for the join task, which follows the last segment.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
t.state, t.frames, t.note = 'done', tonumber(ARGV[5]), ARGV[6]
put(j.id, ARGV[2], t)
release(j.id, ARGV[2])
local left = 0
for _, value in ipairs(redis.call('HVALS', tasks_key(j.id))) do
  if cjson.decode(value).state ~= 'done' then left = left + 1 end
end
if left == 0 then
  put(j.id, JOIN, new_task())
  redis.call('RPUSH', todo_key(j.id), JOIN)
end
offer(j.id)
progress(j.id, true)
keep(j.id)
return { 'ok', all(j.id) }
