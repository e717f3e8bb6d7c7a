-- ARGV: worker; '1' to take only a feed that needs no mattes (background none, view composite), else ''. Returns
-- {record, secrets} of the feed that the worker owns then; nil if none waits that it may take.
local WINDOW = 256

local function unmatted(id)
  local options = cjson.decode(redis.call('HGET', feed_key(id), 'options') or '{}')
  return options.background == 'none' and options.view == 'composite'
end

-- The feed that has waited longest. Feeds on trial together could not be told apart if their worker died: a suspect
-- waits a moment for a worker with none on trial, and an isolated one until there is such a worker.
local function next_feed(worker)
  local waiting, suspects = redis.call('ZRANGE', WAITING_FEEDS, 0, WINDOW - 1, 'WITHSCORES'), {}
  local others
  local function settled(least_s)
    others = others or feeds_of(worker)
    return are_settled(others, least_s)
  end
  for i = 1, #waiting, 2 do
    local f, waited_s = find(waiting[i]), now() - tonumber(waiting[i + 1])
    if not f or f.state ~= 'waiting' then
      redis.call('ZREM', WAITING_FEEDS, waiting[i])
    elseif ARGV[2] == '1' and not unmatted(f.id) then -- keeps its place
    elseif isolated(f) then
      suspects[#suspects + 1] = f
    elseif f.deaths == 0 or waited_s >= FEED_APART_S or settled(0) then
      return f
    end
  end
  for _, f in ipairs(suspects) do
    if settled(apart_s(f)) then return f end
  end
  return nil
end

release_expired()
local f = next_feed(ARGV[1])
if not f then return nil end
redis.call('ZREM', WAITING_FEEDS, f.id)
redis.call('HINCRBY', feed_key(f.id), 'fence', 1)
set(f.id, 'state', 'running', 'worker', ARGV[1], 'claimed_s', text(now()), 'renewed_s', 0, 'reason', '', 'report', '{}')
lease(f.id)
return { all(f.id), redis.call('HGETALL', secrets_key(f.id)) }
