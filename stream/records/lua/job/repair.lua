-- Work that any process does for all, a bounded part at a time: dropping what has expired, and repairing the indexes.
-- Processes of an older version change jobs without updating them, and jobs that they left are in none. Shared by
-- reap.lua and take.lua.
local DAY_S = 86400
local REPAIR_EVERY_MS = 100 -- by all processes together
local PART = 20 -- records in one round
local LARGE_PART = 100 -- after an upgrade, while most are missing

local function is_repair_due() return redis.call('SET', REPAIRED, '', 'NX', 'PX', REPAIR_EVERY_MS) end

-- The next members of a sorted set; from the beginning again after its end.
local function part_of(key, count)
  local from = tonumber(redis.call('HGET', REPAIR, key) or 0)
  local found = redis.call('ZRANGE', key, from, from + count - 1)
  redis.call('HSET', REPAIR, key, #found < count and 0 or from + count)
  redis.call('EXPIRE', REPAIR, JOB_KEEP_S)
  return found
end

-- Owners whose jobs were queued by an older version; and those that have had no jobs for a day.
local function repair_turns()
  for _, owner in ipairs(part_of(OWNERS, PART)) do
    local is_ready = rank(owner)
    local served_s = tonumber(redis.call('ZSCORE', OWNERS, owner))
    if not is_ready and served_s < now() - DAY_S then redis.call('ZREM', OWNERS, owner) end
  end
end

-- As `repair_turns`, for a worker that finds no task. Returns whether it did anything.
local function repair_turns_if_due()
  if redis.call('ZCARD', OWNERS) == 0 or not is_repair_due() then return false end
  repair_turns()
  return true
end

-- Leases that an older version made, and entries whose leases it has released.
local function repair_running()
  for _, member in ipairs(part_of(LEASES, PART)) do
    local id, name = string.match(member, '^(%S+) (%S+)$')
    local j = find(id)
    if j and note_running(id, name, j.owner) and j.state == 'queued' then
      set(id, 'state', 'running')
      keep(id)
    end
  end
  for _, entry in ipairs(part_of(RUNNING, PART)) do
    local id, name = parts_of(entry)
    if not is_leased(id, name) then drop_running(entry) end
  end
  if redis.call('ZCARD', RUNNING) == 0 then redis.call('DEL', BUSY) end
end

local function state_of(id) return redis.call('HGET', job_key(id), 'state') or nil end

local function repair_states()
  local missing = redis.call('HLEN', STATE_OF) < redis.call('ZCARD', JOBS)
  for _, id in ipairs(part_of(JOBS, missing and LARGE_PART or PART)) do count_state(id, state_of(id)) end
  for _, id in ipairs(redis.call('HRANDFIELD', STATE_OF, PART)) do count_state(id, state_of(id)) end
  for _, id in ipairs(redis.call('HRANDFIELD', SPEEDS, PART)) do
    if id ~= 'total' and state_of(id) ~= 'running' then note_speed(id, 0) end
  end
end

local function repair()
  local parts = { repair_turns, repair_running, repair_states }
  parts[redis.call('HINCRBY', REPAIR, 'rounds', 1) % #parts + 1]()
  redis.call('EXPIRE', REPAIR, JOB_KEEP_S)
end

local function clean()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', JOBS, '-inf', text(now() + DAY_S), 'LIMIT', 0, 100)) do
    local j = find(id)
    if not j then
      redis.call('ZREM', JOBS, id)
      redis.call('ZREM', ENDED, id)
      count_state(id, nil)
      note_speed(id, 0)
    elseif not FINAL[j.state] then -- keep jobs that wait for a long time, e.g. paused ones
      keep(id)
    end
  end
end
