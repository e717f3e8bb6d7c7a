-- ARGV: worker, which has no other task; what it understands; the ids of jobs that it leaves to others. Returns {record,
-- task, fence, plan, {name, note, … of finished tasks}}, or nil.
-- Of the owners with tasks ready, the one with the fewest running tasks is next; of those, the one served longest ago.
-- Jobs that the worker leaves to others keep their place. The notes are for the join task alone.
local WINDOW = 16 -- owners, and jobs of each, that are looked at in their order, and as many at random behind those
local understands, left = reader(ARGV[2]), {}
for i = 3, #ARGV do left[ARGV[i]] = true end

-- Whether the job is left to others; else the name of its next task, nil if it has none.
local function task_from(owner, id)
  local state, format, options = unpack(redis.call('HMGET', job_key(id), 'state', 'format', 'options'))
  if state and (left[id] or not understands(format, options)) then return true, nil end
  local name = state and redis.call('LPOP', todo_key(id))
  if name then return false, name end
  redis.call('ZREM', ready_key(owner), id)
  count_waiting(id, 0)
  return false, nil
end

-- The owner's next task, as job and name, or nil; then also whether some are left to others.
local function task_of_owner(owner)
  local key, place = ready_key(owner), 0
  while place < WINDOW do
    local id = redis.call('ZRANGE', key, place, place)[1]
    if not id then return nil, nil, place > 0 end
    local is_left, name = task_from(owner, id)
    if name then return id, name end
    if is_left then place = place + 1 end
  end
  for _, id in ipairs(redis.call('ZRANDMEMBER', key, WINDOW)) do
    local _, name = task_from(owner, id)
    if name then return id, name end
  end
  return nil, nil, true
end

local function served(owner)
  local id, name, are_left = task_of_owner(owner)
  if id then
    redis.call('ZADD', OWNERS, text(now()), owner)
  elseif not are_left then
    redis.call('ZREM', TURNS, owner)
  end
  return id, name, are_left
end

local function next_task()
  local place = 0
  while place < WINDOW do
    local owner = redis.call('ZRANGE', TURNS, place, place)[1]
    if not owner then return nil end
    local id, name, are_left = served(owner)
    if id then return id, name end
    if are_left then place = place + 1 end
  end
  for _, owner in ipairs(redis.call('ZRANDMEMBER', TURNS, WINDOW)) do
    local id, name = served(owner)
    if id then return id, name end
  end
  return nil
end

local function notes_of_done(id)
  local notes, flat = {}, redis.call('HGETALL', tasks_key(id))
  for i = 1, #flat, 2 do
    local other = cjson.decode(flat[i + 1])
    if other.state == 'done' then
      notes[#notes + 1] = flat[i]
      notes[#notes + 1] = other.note
    end
  end
  return notes
end

local worker = ARGV[1]
local id, name = task_of(worker) -- already taken, and the reply was lost
if not id then id, name = next_task() end
if not id and repair_turns_if_due() then id, name = next_task() end
if not id then return nil end
local j, t = find(id), task(id, name)
local fence = redis.call('HINCRBY', job_key(id), 'fence', 1)
t.state, t.worker, t.fence, t.late = 'run', worker, fence, nil
put(id, name, t)
note_worker(worker, id, name)
lease(id, name, j.owner, now() + LEASE_S)
if redis.call('HGET', job_key(id), 'started_s') == '0.0' then set(id, 'started_s', text(now())) end
if j.state == 'queued' then set(id, 'state', 'running') end
offer(id)
keep(id)
return { all(id), name, fence, redis.call('GET', plan_key(id)) or '', name == JOIN and notes_of_done(id) or {} }
