-- ARGV: worker, which has no other task; what it understands; the ids of jobs that it leaves to others. Returns {record,
-- task, fence, plan, {name, note, … of finished tasks}}, or nil.
-- Of the owners with tasks ready, the one with the fewest running tasks is next; of those, the one served longest ago.
local WINDOW = 64 -- jobs of an owner that are looked at, until the worker can process one
local running, lost_reply = {}, nil
for _, lease in ipairs(leases()) do
  local j, t = find(lease.id), task(lease.id, lease.name)
  if not j or not t then
    redis.call('ZREM', LEASES, lease.member)
  else
    running[j.owner] = (running[j.owner] or 0) + 1
    if t.worker == ARGV[1] then lost_reply = lease end -- already taken by this worker, which did not get the reply
  end
end

local can_process, left = reader(ARGV[2]), {}
for i = 3, #ARGV do left[ARGV[i]] = true end

local function first_job(owner)
  for _, id in ipairs(redis.call('ZRANGE', ready_key(owner), 0, WINDOW - 1)) do
    if not left[id] and can_process(job_key(id)) then return id end
  end
  return nil
end

-- The owner and the job of its next task.
local function next_owner()
  local best, job
  for _, owner in ipairs(redis.call('ZRANGE', OWNERS, 0, -1)) do
    local busy = running[owner] or 0
    local id = (not best or busy < (running[best] or 0)) and first_job(owner)
    if id then best, job = owner, id end
  end
  return best, job
end

local function next_task()
  while true do
    local owner, id = next_owner()
    if not owner then return nil end
    local name = redis.call('EXISTS', job_key(id)) == 1 and redis.call('LPOP', todo_key(id))
    if name then
      redis.call('ZADD', OWNERS, text(now()), owner)
      return { id = id, name = name }
    end
    redis.call('ZREM', ready_key(owner), id)
    count_waiting(id, 0)
  end
end

local chosen = lost_reply or next_task()
if not chosen then return nil end
local id, t = chosen.id, task(chosen.id, chosen.name)
local fence = redis.call('HINCRBY', job_key(id), 'fence', 1)
t.state, t.worker, t.fence, t.late = 'run', ARGV[1], fence, nil
put(id, chosen.name, t)
lease(id, chosen.name, now() + LEASE_S)
if redis.call('HGET', job_key(id), 'started_s') == '0.0' then set(id, 'started_s', text(now())) end
if find(id).state == 'queued' then set(id, 'state', 'running') end
offer(id)
keep(id)
local notes, flat = {}, redis.call('HGETALL', tasks_key(id))
for i = 1, #flat, 2 do
  local other = cjson.decode(flat[i + 1])
  if other.state == 'done' then
    notes[#notes + 1] = flat[i]
    notes[#notes + 1] = other.note
  end
end
return { all(id), chosen.name, fence, redis.call('GET', plan_key(id)) or '', notes }
