-- ARGV: worker, which has no other task. Returns {record, task, fence, plan, {name, note, … of finished tasks}}, or nil.
-- Of the owners with tasks ready, the one with the fewest running tasks is next; of those, the one served longest ago.
-- The notes are for the join task alone.

-- The owner's next task, or nil if it has none.
local function task_from(owner)
  local id = redis.call('ZRANGE', ready_key(owner), 0, 0)[1]
  while id do
    local name = redis.call('EXISTS', job_key(id)) == 1 and redis.call('LPOP', todo_key(id))
    if name then return id, name end
    redis.call('ZREM', ready_key(owner), id)
    count_waiting(id, 0)
    id = redis.call('ZRANGE', ready_key(owner), 0, 0)[1]
  end
  return nil
end

local function next_task()
  local owner = redis.call('ZRANGE', TURNS, 0, 0)[1]
  while owner do
    local id, name = task_from(owner)
    if id then
      redis.call('ZADD', OWNERS, text(now()), owner)
      return id, name
    end
    redis.call('ZREM', TURNS, owner)
    owner = redis.call('ZRANGE', TURNS, 0, 0)[1]
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
