-- ARGV: job, task, worker, fence, plan, number of finished segments, their names …, number of segments, the frames of
-- each …, then the record's pairs. Redis has lost its data: restores the job from its worker's copy, unless another
-- worker already has.
local id, name, worker, fence, plan = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local position = 6
local function list()
  local values = {}
  for i = position + 1, position + tonumber(ARGV[position]) do values[#values + 1] = ARGV[i] end
  position = position + #values + 1
  return values
end
local finished, frames = {}, nil
for _, segment in ipairs(list()) do finished[segment] = true end
frames = list()

if redis.call('EXISTS', removed_key(id)) == 1 then return { 'fenced' } end
if not find(id) then
  local fields, of_frames = {}, 0
  for i = position, #ARGV do fields[#fields + 1] = ARGV[i] end
  write(id, fields)
  for i, count in ipairs(frames) do
    local segment, t = string.format(SEGMENT, i - 1), new_task()
    of_frames = of_frames + tonumber(count)
    if finished[segment] then t.state, t.frames = 'done', tonumber(count) end
    put(id, segment, t)
    if not finished[segment] then redis.call('RPUSH', todo_key(id), segment) end
  end
  local first = new_task()
  if #frames > 0 then first.state = 'done' else redis.call('RPUSH', todo_key(id), PLAN) end
  put(id, PLAN, first)
  if name == JOIN then
    put(id, JOIN, new_task())
    redis.call('RPUSH', todo_key(id), JOIN)
  end
  if plan ~= '' then redis.call('SET', plan_key(id), plan) end
  set(id, 'state', 'running', 'fence', fence, 'of_frames', of_frames)
end

local t = task(id, name)
if not t or t.state ~= 'todo' then return { holds(t, worker, fence) and 'ok' or 'fenced', all(id) } end
redis.call('LREM', todo_key(id), 0, name)
t.state, t.worker, t.fence = 'run', worker, fence
put(id, name, t)
if tonumber(redis.call('HGET', job_key(id), 'fence')) < fence then redis.call('HSET', job_key(id), 'fence', fence) end
lease(id, name, now() + LEASE_S)
offer(id)
keep(id)
return { 'ok', all(id) }
