-- ARGV: worker; '1' to take only a feed that needs no mattes (background none, view composite), else ''. Returns
-- {record, secrets} of the feed that has waited longest, which the worker owns then; nil if none waits.
release_expired()

local function unmatted(id)
  local options = cjson.decode(redis.call('HGET', feed_key(id), 'options') or '{}')
  return options.background == 'none' and options.view == 'composite'
end

for _, id in ipairs(redis.call('ZRANGE', WAITING_FEEDS, 0, ARGV[2] == '1' and 127 or 15)) do
  local f = find(id)
  if not (f and f.state == 'waiting') then
    redis.call('ZREM', WAITING_FEEDS, id)
  elseif ARGV[2] ~= '1' or unmatted(id) then
    redis.call('ZREM', WAITING_FEEDS, id)
    redis.call('HINCRBY', feed_key(id), 'fence', 1)
    set(id, 'state', 'running', 'worker', ARGV[1], 'claimed_s', text(now()), 'report', '{}')
    lease(id)
    return { all(id), redis.call('HGETALL', secrets_key(id)) }
  end
end
return nil
