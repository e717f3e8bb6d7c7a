-- ARGV: worker, its record. Returns the time.
local at_s, key = now(), PREFIX .. 'worker:' .. ARGV[1]
redis.call('SET', key, ARGV[2], 'PX', math.floor(BEAT_S * 1000))
redis.call('ZADD', WORKERS, text(at_s + BEAT_S), ARGV[1])
redis.call('EXPIRE', WORKERS, KEEP_S)
return text(at_s)
