-- ARGV: worker, its record in format 1, its whole record ('' if it has no more). Returns the time.
local at_s, key = now(), PREFIX .. 'worker:' .. ARGV[1]
redis.call('SET', key, ARGV[2], 'PX', math.floor(BEAT_S * 1000))
if ARGV[3] ~= '' then
  redis.call('SET', PREFIX .. 'whole-worker:' .. ARGV[1], ARGV[3], 'PX', math.floor(BEAT_S * 1000))
end
redis.call('ZADD', WORKERS, text(at_s + BEAT_S), ARGV[1])
redis.call('EXPIRE', WORKERS, KEEP_S)
return text(at_s)
