-- ARGV: job, seconds.
redis.call('ZADD', HOOKS, 'XX', text(now() + tonumber(ARGV[2])), ARGV[1])
