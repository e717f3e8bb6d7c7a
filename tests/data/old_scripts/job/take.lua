-- ARGV: worker, which has no other task. Returns {record, task, fence, plan, {name, note, … of finished tasks}}, or nil.
-- Of the owners with tasks ready, the one with the fewest running tasks is next; of those, the one served longest ago.
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

local function next_owner()
  local best
  for _, owner in ipairs(redis.call('ZRANGE', OWNERS, 0, -1)) do
    local busy = running[owner] or 0
    if (not best or busy < (running[best] or 0)) and redis.call('ZCARD', ready_key(owner)) > 0 then best = owner end
  end
  return best
end

local function next_task()
  while true do
    local owner = next_owner()
    if not owner then return nil end
    local id = redis.call('ZRANGE', ready_key(owner), 0, 0)[1]
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
