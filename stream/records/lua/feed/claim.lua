-- ARGV: worker; '1' to take only a feed that needs no mattes (background none, view composite), else ''; what the worker
-- understands; the feeds that it leaves to others, as 'id version'. Returns {record, secrets} of the feed that the worker
-- owns then; nil if none waits that it may take.
local WINDOW = 256
local understands, left = reader(ARGV[3]), {}
for i = 4, #ARGV do left[ARGV[i]] = true end

-- The first of these feeds, a flat list of ids and since when they wait. Feeds on trial together could not be told apart
-- if their worker died: a suspect waits a moment for a worker with none on trial, and an isolated one until there is such
-- a worker. Also returns whether any was left to workers of other versions.
local function first_of(waiting, worker)
  local suspects, others, any_left = {}, nil, false
  local function settled(least_s)
    others = others or feeds_of(worker)
    return are_settled(others, least_s)
  end
  for i = 1, #waiting, 2 do
    local f, waited_s = find(waiting[i]), now() - tonumber(waiting[i + 1])
    if not f or f.state ~= 'waiting' then
      dequeue(waiting[i])
    elseif left[f.id .. ' ' .. f.version] or not understands(f.format, f.options) then -- keeps its place
      any_left = true
    elseif ARGV[2] == '1' and not is_unmatted(f.id) then -- an older version has changed it
      redis.call('ZREM', UNMATTED, f.id)
    elseif isolated(f) then
      suspects[#suspects + 1] = f
    elseif f.deaths == 0 or waited_s >= FEED_APART_S or settled(0) then
      return f, any_left
    end
  end
  for _, f in ipairs(suspects) do
    if settled(apart_s(f)) then return f, any_left end
  end
  return nil, any_left
end

-- The feed that has waited longest. Behind a window in which some are left to others, any is looked at, so that those
-- hold up none.
local function next_feed(worker)
  local queue = ARGV[2] == '1' and UNMATTED or WAITING_FEEDS
  local f, any_left = first_of(redis.call('ZRANGE', queue, 0, WINDOW - 1, 'WITHSCORES'), worker)
  if f or not any_left or redis.call('ZCARD', queue) <= WINDOW then return f end
  f = first_of(redis.call('ZRANDMEMBER', queue, WINDOW, 'WITHSCORES'), worker)
  return f
end

release_expired()
local f = next_feed(ARGV[1])
if not f then return nil end
dequeue(f.id)
redis.call('HINCRBY', feed_key(f.id), 'fence', 1)
set(f.id, 'state', 'running', 'worker', ARGV[1], 'claimed_s', text(now()), 'renewed_s', 0, 'reason', '', 'report', '{}')
lease(f.id, ARGV[1])
return { all(f.id), redis.call('HGETALL', secrets_key(f.id)) }
