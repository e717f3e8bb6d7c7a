-- ARGV: worker. Returns {record, secrets} of the feed that has waited longest, which the worker owns then; nil if none
-- waits.
release_expired()
for _, id in ipairs(redis.call('ZRANGE', WAITING_FEEDS, 0, 15)) do
  redis.call('ZREM', WAITING_FEEDS, id)
  local f = find(id)
  if f and f.state == 'waiting' then
    redis.call('HINCRBY', feed_key(id), 'fence', 1)
    set(id, 'state', 'running', 'worker', ARGV[1], 'claimed_s', text(now()), 'report', '{}')
    lease(id)
    return { all(id), redis.call('HGETALL', secrets_key(id)) }
  end
end
return nil
