-- ARGV: job, seconds until its webhook is due again.
redis.call('ZADD', HOOKS, 'XX', text(now() + tonumber(ARGV[2])), ARGV[1])
