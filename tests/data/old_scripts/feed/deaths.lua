-- What follows when a worker dies: which of its feeds is to blame, and where the others may be started again. Shared by
-- the scripts of this folder, after common.lua; docs/architecture.md has the rule.

-- From this number of deaths on, a feed is started only on a worker that has no other feed on trial.
local ISOLATED_DEATHS = 2

-- How long a feed has run, by its worker's last renewal. 0: the worker has not renewed its claim.
local function ran_s(f) return math.max(0, f.renewed_s - f.claimed_s) end

-- Whether a feed has not run for long enough to be presumed innocent if its worker dies.
local function on_trial(f) return ran_s(f) < f.trial_s end

-- How long it is on trial when it is started again: twice as long as it took until this death, if that was soon.
local function next_trial_s(f)
  if ran_s(f) >= FEED_PROVEN_S then return FEED_TRIAL_S end
  return math.min(FEED_PROVEN_S, math.max(FEED_TRIAL_S, 2 * ran_s(f)))
end

local function isolated(f) return f.deaths >= ISOLATED_DEATHS end

-- The feeds that a worker owns.
local function feeds_of(worker)
  local feeds = {}
  for _, id in ipairs(redis.call('ZRANGE', LEASED, 0, -1)) do
    local f = find(id)
    if f and f.state == 'running' and f.worker == worker then feeds[#feeds + 1] = f end
  end
  return feeds
end

-- How long the other feeds of a worker must have run before this suspect is started beside them. It grows with each
-- loss: a neighbour that kills workers at long or random intervals must not get this feed failed by coincidence.
local function apart_s(f) return f.losses > 0 and f.trial_s * FEED_DOUBT ^ f.losses or 0 end

-- Whether none of a worker's feeds is on trial, and all have run for so long.
local function are_settled(feeds, least_s)
  for _, f in ipairs(feeds) do
    if on_trial(f) or ran_s(f) < least_s then return false end
  end
  return true
end

local function wait_again(f) take_away(f, 'waiting', isolated(f) and SUSPECT or '', '') end

-- Count a loss against a feed. When they reach FEED_LOSSES, it fails; else it waits for a worker.
local function blame(f, reason, loss)
  local losses = f.losses + loss
  redis.call('HSET', feed_key(f.id), 'losses', losses)
  if losses >= FEED_LOSSES then take_away(f, 'failed', reason, '') else wait_again(f) end
end

-- The id of the feed that is to blame, or nil if it may be one of several; and a table whose keys are the ids of the
-- suspects: the feeds on trial, or all if none was.
local function suspects_among(feeds)
  local tried = {}
  for _, f in ipairs(feeds) do
    if on_trial(f) then tried[#tried + 1] = f end
  end
  local suspects, by_id = #tried > 0 and tried or feeds, {}
  for _, f in ipairs(suspects) do by_id[f.id] = true end
  return #suspects == 1 and suspects[1].id or nil, by_id
end

-- Release the feeds of a dead worker. If it renewed none of them, it may only have lost Redis: that is half a loss.
local function worker_died(feeds)
  local culprit, suspects = suspects_among(feeds)
  local loss = 0.5
  for _, f in ipairs(feeds) do
    if f.renewed_s > 0 then loss = 1 end
  end
  for _, f in ipairs(feeds) do
    f.deaths = suspects[f.id] and f.deaths + 1 or 0
    redis.call('HSET', feed_key(f.id), 'deaths', f.deaths, 'trial_s', text(next_trial_s(f)))
    if f.id == culprit then blame(f, POISON, loss) else wait_again(f) end
  end
end

-- Whether the worker of a feed whose lease has expired is alive: then the reply to its claim was lost, or it could not
-- tell Redis that it gave the feed up.
local function is_alive(f, feeds)
  local since_s = math.max(f.claimed_s, f.renewed_s) + FEED_LEASE_S / 2
  local beat_until_s = tonumber(redis.call('ZSCORE', WORKERS, f.worker) or 0)
  if beat_until_s - BEAT_S > since_s then return true end
  for _, other in ipairs(feeds) do
    if other.renewed_s > since_s then return true end
  end
  return false
end

-- Let other workers take the feeds whose lease has expired. Those of a dead worker are released together.
local function release_expired()
  note_contact()
  if redis.call('EXISTS', GRACE) == 1 then return end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASED, '-inf', text(now()), 'LIMIT', 0, 100)) do
    local f = find(id)
    if f and f.state == 'running' then
      local feeds = feeds_of(f.worker)
      if is_alive(f, feeds) then wait_again(f) else worker_died(feeds) end
    else
      redis.call('ZREM', LEASED, id)
    end
  end
end
