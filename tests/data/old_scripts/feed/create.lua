-- ARGV: Redis key for the idempotency key or '', digest of the request, the owner's limit of feeds, number of values of
-- the secrets, their pairs, then the record's pairs.
local key, digest, most, secrets = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local _, hidden = pairs_of(5, 4 + secrets)
local record, fields = pairs_of(5 + secrets, #ARGV)
local id, owner, name = record.id, record.owner, record.name

local known = key ~= '' and redis.call('GET', key)
if known and find(known) then
  if redis.call('HGET', secrets_key(known), 'request') ~= digest then return { 'key_reused' } end
  return { 'ok', all(known) }
end
if find(id) then return { 'ok', all(id) } end -- a repeat: the first reply was lost
if redis.call('HEXISTS', names_key(owner), name) == 1 then return { 'name_in_use' } end
if redis.call('ZCARD', of_key(owner)) >= most then return { TOO_MANY } end

local at_s = now()
redis.call('HSET', feed_key(id), unpack(fields))
redis.call('HSET', feed_key(id), 'created_s', text(at_s), 'updated_s', text(at_s))
redis.call('HSET', secrets_key(id), 'request', digest, unpack(hidden))
redis.call('HSET', names_key(owner), name, id)
redis.call('ZADD', of_key(owner), string.format('%.0f', at_s * 1e6), id)
if record.state == 'waiting' then enqueue(id) end
if key ~= '' then redis.call('SET', key, id, 'EX', JOB_REPEAT_S) end
return { 'ok', all(id) }
