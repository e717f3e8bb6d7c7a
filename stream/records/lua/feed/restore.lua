-- ARGV: number of values of the secrets, their pairs, then the record's pairs: the owner's copy of a feed that Redis has
-- lost.
local secrets = tonumber(ARGV[1])
local _, hidden = pairs_of(2, 1 + secrets)
local record, fields = pairs_of(2 + secrets, #ARGV)
local id, owner = record.id, record.owner
if redis.call('EXISTS', removed_key(id)) == 1 then return { 'fenced' } end
local f = find(id)
if f then return { holds(f, record.worker, record.fence) and 'ok' or 'fenced' } end
local other = redis.call('HGET', names_key(owner), record.name)
if other and other ~= id then return { 'fenced' } end
redis.call('HSET', feed_key(id), unpack(fields))
redis.call('HSET', secrets_key(id), unpack(hidden))
redis.call('HSET', names_key(owner), record.name, id)
redis.call('SADD', FEEDS, id)
redis.call('ZADD', of_key(owner), string.format('%.0f', tonumber(record.created_s) * 1e6), id)
lease(id, record.worker)
return { 'ok' }
