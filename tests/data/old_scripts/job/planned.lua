-- ARGV: job, worker, fence, plan, media, warnings, storage key of the source, then the frames of each segment.
local j, t, refused = claimed(ARGV[1], PLAN, ARGV[2], ARGV[3])
if refused then return refused end
local of_frames = 0
for i = 8, #ARGV do
  local name = string.format(SEGMENT, i - 8)
  put(j.id, name, new_task())
  redis.call('RPUSH', todo_key(j.id), name)
  of_frames = of_frames + tonumber(ARGV[i])
end
t.state = 'done'
put(j.id, PLAN, t)
release(j.id, PLAN)
redis.call('SET', plan_key(j.id), ARGV[4])
set(j.id, 'media', ARGV[5], 'warnings', ARGV[6], 'source', ARGV[7], 'of_frames', of_frames)
offer(j.id)
progress(j.id, true)
keep(j.id)
return { 'ok', all(j.id) }
