-- No ARGV. Ends expired offers and sessions of lost workers; returns their records.
-- An expired lease is only marked at first: if Redis was unreachable, its owner can renew it.
local IDLE_MS = 60000
local ended = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', text(now()), 'LIMIT', 0, 100)) do
  local s = find(id)
  if not s or FINAL[s.state] then
    redis.call('ZREM', DUE, id)
  elseif s.state ~= 'offered' and not s.late then
    redis.call('HSET', session_key(id), 'late', 1)
    redis.call('ZADD', DUE, text(now() + GRACE_S), id)
  else
    if s.state == 'offered' then take_away(s, 'failed', NO_WORKER) else take_away(s, 'lost', WORKER_LOST) end
    ended[#ended + 1] = all(id)
  end
end
redis.call('ZREMRANGEBYSCORE', SESSIONS, '-inf', text(now()))
redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', text(now()))
local consumers = redis.pcall('XINFO', 'CONSUMERS', OFFERS, GROUP)
for _, c in ipairs(consumers.err and {} or consumers) do -- {'name', n, 'pending', n, 'idle', n, …}
  if c[4] == 0 and c[6] > IDLE_MS then redis.call('XGROUP', 'DELCONSUMER', OFFERS, GROUP, c[2]) end
end
return ended
