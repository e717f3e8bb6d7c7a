-- No ARGV. Returns {thousandths of the frames per second of all jobs, state, its number of jobs, …}.
return { tonumber(redis.call('HGET', SPEEDS, 'total') or 0), unpack(redis.call('HGETALL', STATES)) }
