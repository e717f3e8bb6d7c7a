-- The running tasks by job, by owner and by worker, and the order in which owners are served: with these indexes no
-- script reads all leases or all owners. An older version of this program does not update them; see repair.lua. Shared
-- by the scripts of this folder.
--
-- RUNNING has an entry "<job> <task> <owner>" for each lease, BUSY the number of entries of each owner. TURNS has the
-- owners with tasks ready: first by their running tasks, then by when they were last served.
local SERVED_MS = 1e12 -- more than the milliseconds from TURNS_S until 2055
local TURNS_S = 1.7e9

local function lease_name(id, name) return id .. ' ' .. name end

-- The parts of an entry: job, task, owner.
local function parts_of(entry) return string.match(entry, '^(%S+) (%S+) (.*)$') end

-- The entries in RUNNING that begin with this text and a space; `most` of them at most.
local function entries(text, most)
  local from = '[' .. text .. ' '
  return redis.call('ZRANGEBYLEX', RUNNING, from, from .. '\255', 'LIMIT', 0, most)
end

-- Put the owner in the place that its tasks give it. Returns whether it has tasks ready.
local function rank(owner)
  if redis.call('ZCARD', ready_key(owner)) == 0 then
    redis.call('ZREM', TURNS, owner)
    return false
  end
  local running = tonumber(redis.call('HGET', BUSY, owner) or 0)
  local served_s = tonumber(redis.call('ZSCORE', OWNERS, owner) or 0)
  local served_ms = math.floor((served_s - TURNS_S) * 1000 + 0.5) -- rounded, so that the order is that of OWNERS
  redis.call('ZADD', TURNS, running * SERVED_MS + math.max(0, served_ms), owner)
  redis.call('EXPIRE', TURNS, JOB_KEEP_S)
  return true
end

local function add_busy(owner, change)
  if redis.call('HINCRBY', BUSY, owner, change) <= 0 then redis.call('HDEL', BUSY, owner) end
  redis.call('EXPIRE', BUSY, JOB_KEEP_S)
  rank(owner)
end

-- Note that a task of this owner has a lease. Returns whether that was unknown.
local function note_running(id, name, owner)
  if redis.call('ZADD', RUNNING, 0, lease_name(id, name) .. ' ' .. owner) == 0 then return false end
  redis.call('EXPIRE', RUNNING, JOB_KEEP_S)
  add_busy(owner, 1)
  return true
end

local function drop_running(entry)
  local _, _, owner = parts_of(entry)
  if redis.call('ZREM', RUNNING, entry) == 1 then add_busy(owner, -1) end
end

local function is_leased(id, name) return redis.call('ZSCORE', LEASES, lease_name(id, name)) end

-- Set or extend the lease of a task.
local function lease(id, name, owner, until_s)
  redis.call('ZADD', LEASES, text(until_s), lease_name(id, name))
  redis.call('EXPIRE', LEASES, JOB_KEEP_S)
  note_running(id, name, owner)
end

local function release(id, name)
  redis.call('ZREM', LEASES, lease_name(id, name))
  for _, entry in ipairs(entries(lease_name(id, name), 1)) do drop_running(entry) end
end

local function release_all(id)
  for _, entry in ipairs(entries(id, -1)) do
    local _, name = parts_of(entry)
    release(id, name)
  end
end

local function has_running(id)
  for _, entry in ipairs(entries(id, -1)) do
    local _, name = parts_of(entry)
    if is_leased(id, name) then return true end
    drop_running(entry) -- an older version has released it
  end
  return false
end

-- Remember which task a worker has, for `task_of`.
local function note_worker(worker, id, name)
  redis.call('SET', task_of_key(worker), lease_name(id, name), 'EX', KEEP_S)
end
