-- Indexes of an owner's jobs: their order, the unfinished ones, their bytes in storage, recent changes.
-- `account` derives all of it from a job's record, at the end of every script that changes one, so nothing is counted
-- twice. Records that expire are taken out by `prune`. Shared by the scripts of this folder.
local function micros(seconds) return string.format('%.0f', seconds * 1e6) end

-- Set a job's part of a sum. The field "total" of the hash is the sum over its jobs; a part of 0 is not stored.
local function set_part(key, id, part)
  local before = tonumber(redis.call('HGET', key, id) or 0)
  if part == before then return end
  if part > 0 then redis.call('HSET', key, id, string.format('%.0f', part)) else redis.call('HDEL', key, id) end
  redis.call('HINCRBY', key, 'total', string.format('%.0f', part - before))
  if redis.call('HLEN', key) == 1 then redis.call('DEL', key) end -- only the total is left
end

-- Set the bytes that a job keeps in storage.
local function store_bytes(owner, id, bytes) set_part(stored_key(owner), id, bytes) end

-- Remove a job that no longer exists from its owner's indexes.
local function forget(owner, id)
  redis.call('ZREM', of_key(owner), id)
  redis.call('ZREM', listed_key(owner), id)
  redis.call('SREM', unfinished_key(owner), id)
  store_bytes(owner, id, 0)
end

local function prune(owner)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', of_key(owner), '-inf', text(now()))) do forget(owner, id) end
end

-- The bytes that a job keeps in storage: its results, and its video if that was fetched from an address. The results of
-- an unfinished job are not known yet; as many bytes as its video has are reserved for them.
local function bytes_of(state, url, media, results)
  local video, kept = type(media) == 'table' and media.bytes or 0, 0
  for _, result in pairs(results) do kept = kept + result.bytes end
  if not FINAL[state] then kept = math.max(kept, video) end
  return kept + (url ~= '' and video or 0)
end

-- Note that a job has changed or was removed, for clients that watch its owner's jobs.
local function note_change(owner, id)
  local key = changed_key(owner)
  redis.call('ZADD', key, micros(now()), id)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. micros(now() - CHANGES_S))
  redis.call('EXPIRE', key, CHANGES_S)
end

-- Update the owner's indexes from this job's record.
local function account_one(id)
  local names = { 'owner', 'state', 'url', 'media', 'results', 'created_s', 'listed' }
  local owner, state, url, media, results, created_s, listed = unpack(redis.call('HMGET', job_key(id), unpack(names)))
  redis.call(FINAL[state] and 'SREM' or 'SADD', unfinished_key(owner), id)
  store_bytes(owner, id, bytes_of(state, url, cjson.decode(media), cjson.decode(results)))
  if listed ~= 'false' then
    redis.call('ZADD', listed_key(owner), micros(tonumber(created_s)), id)
    note_change(owner, id)
  end
  for _, key in ipairs({ listed_key(owner), unfinished_key(owner), stored_key(owner) }) do
    redis.call('EXPIRE', key, JOB_KEEP_S)
  end
end

-- Account for the jobs that an older version of this program stored, which did not do so: then none is
-- listed.
local function account_old(owner)
  if redis.call('EXISTS', listed_key(owner)) == 1 then return end
  for _, id in ipairs(redis.call('ZRANGE', of_key(owner), 0, -1)) do
    if redis.call('EXISTS', job_key(id)) == 1 then account_one(id) end
  end
end

-- As `account_one`. The jobs of an older version come first: this one is listed then, so they would be taken as done.
local function account(id)
  account_old(redis.call('HGET', job_key(id), 'owner'))
  account_one(id)
end

-- Whether the owner may have another job: nil if so, else the reply to return. jobs, bytes: the limits, '' for none.
local function over_quota(owner, jobs, bytes)
  account_old(owner)
  prune(owner)
  if jobs ~= '' and redis.call('SCARD', unfinished_key(owner)) >= tonumber(jobs) then return { TOO_MANY, jobs } end
  local total = redis.call('HGET', stored_key(owner), 'total') or '0'
  if bytes ~= '' and tonumber(total) >= tonumber(bytes) then return { OVER_QUOTA, total, bytes } end
  return nil
end
