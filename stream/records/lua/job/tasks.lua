-- No ARGV. Returns {number of tasks that wait for a worker, number of tasks that workers run}.
return { tonumber(redis.call('HGET', WAITING, 'total') or 0), redis.call('ZCARD', LEASES) }
