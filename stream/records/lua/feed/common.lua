-- Shared by the scripts of feeds.
local WAITING_FEEDS, LEASED, SEEN = PREFIX .. 'feeds-waiting', PREFIX .. 'feeds-leased', PREFIX .. 'feeds-seen'
local FEEDS = PREFIX .. 'feeds'
local GRACE, WORKERS = PREFIX .. 'feeds-grace', PREFIX .. 'workers'
local UNMATTED = PREFIX .. 'feeds-unmatted'

local function feed_key(id) return PREFIX .. 'feed:' .. id end

local function secrets_key(id) return PREFIX .. 'feed-secrets:' .. id end

local function of_key(owner) return PREFIX .. 'feeds-of:' .. owner end

local function names_key(owner) return PREFIX .. 'feed-names:' .. owner end

local function on_key(worker) return PREFIX .. 'feeds-on:' .. worker end

local function removed_key(id) return PREFIX .. 'feed-removed:' .. id end

-- The fields of a feed that scripts need, or nil if it does not exist.
local function find(id)
  local v = redis.call('HMGET', feed_key(id), 'state', 'worker', 'fence', 'owner', 'name', 'version', 'losses',
                       'claimed_s', 'renewed_s', 'deaths', 'trial_s', 'format', 'options')
  if not v[1] then return nil end
  return { id = id, state = v[1], worker = v[2], fence = v[3], owner = v[4], name = v[5], version = v[6],
           losses = tonumber(v[7] or 0), claimed_s = tonumber(v[8] or 0), renewed_s = tonumber(v[9] or 0),
           deaths = tonumber(v[10] or 0), trial_s = tonumber(v[11] or FEED_PROVEN_S),
           format = v[12], options = v[13] }
end

local function all(id) return redis.call('HGETALL', feed_key(id)) end

local function set(id, ...) redis.call('HSET', feed_key(id), 'updated_s', text(now()), ...) end

-- The pairs of a flat list from `first` to `last`, as a table and as a flat list.
local function pairs_of(first, last)
  local record, fields = {}, {}
  for i = first, last, 2 do
    record[ARGV[i]] = ARGV[i + 1]
    fields[#fields + 1] = ARGV[i]
    fields[#fields + 1] = ARGV[i + 1]
  end
  return record, fields
end

-- Whether a worker owns a feed.
local function holds(f, worker, fence) return f.state == 'running' and f.worker == worker and f.fence == fence end

-- Whether a feed needs no mattes: background none, view composite.
local function is_unmatted(id)
  local options = cjson.decode(redis.call('HGET', feed_key(id), 'options') or '{}')
  return options.background == 'none' and options.view == 'composite'
end

-- Put a waiting feed in the queue of those that need no mattes, or take it out, according to its options.
local function sort_unmatted(id)
  local since_s = redis.call('ZSCORE', WAITING_FEEDS, id)
  if since_s and is_unmatted(id) then
    redis.call('ZADD', UNMATTED, since_s, id)
  else
    redis.call('ZREM', UNMATTED, id)
  end
end

-- Put a feed at the end of the queue. In microseconds: several may come within a millisecond.
local function enqueue(id)
  redis.call('ZADD', WAITING_FEEDS, string.format('%.6f', now()), id)
  sort_unmatted(id)
end

local function dequeue(id)
  redis.call('ZREM', WAITING_FEEDS, id)
  redis.call('ZREM', UNMATTED, id)
end

-- Feeds that a worker runs, so that no script reads the leases of all. An older version of this program does not note
-- its own.
local function note_worker(worker, id)
  redis.call('ZADD', on_key(worker), 'NX', text(now()), id)
  redis.call('EXPIRE', on_key(worker), KEEP_S)
end

local function lease(id, worker)
  redis.call('ZADD', LEASED, text(now() + FEED_LEASE_S), id)
  note_worker(worker, id)
end

local function release(f)
  redis.call('ZREM', LEASED, f.id)
  if f.worker ~= '' then redis.call('ZREM', on_key(f.worker), f.id) end
end

-- Take a feed from its worker, if any: calls of the worker are refused (fenced) from now on.
local function take_away(f, state, reason, detail)
  redis.call('HINCRBY', feed_key(f.id), 'fence', 1)
  release(f)
  dequeue(f.id)
  set(f.id, 'state', state, 'worker', '', 'reason', reason, 'detail', detail, 'report', '{}')
  if state == 'waiting' then enqueue(f.id) end
end

-- Forget the deaths of its workers, and the losses.
local function forget(id)
  redis.call('HSET', feed_key(id), 'losses', 0, 'deaths', 0)
  redis.call('HDEL', feed_key(id), 'trial_s')
end

-- Note that Redis was reached. If it was not for a while, by any process, owners get time to renew their leases.
local function note_contact()
  local at_s = now()
  local seen_s = tonumber(redis.call('GET', SEEN) or 0)
  redis.call('SET', SEEN, text(at_s), 'EX', KEEP_S)
  if at_s - seen_s > FEED_SILENCE_S then redis.call('SET', GRACE, '', 'PX', math.floor(FEED_LEASE_S * 1000)) end
end
