-- ARGV: owner, time of the last call in microseconds. Returns {time, '1' if these are all changes since, else '', ids of
-- the listed jobs that have changed or were removed …}.
local at = micros(now())
local reply = { at, tonumber(ARGV[2]) > tonumber(at) - CHANGES_S * 1e6 and '1' or '' }
for _, id in ipairs(redis.call('ZRANGEBYSCORE', changed_key(ARGV[1]), ARGV[2], '+inf')) do reply[#reply + 1] = id end
return reply
