-- ARGV: upload, a new writer. Returns {'ok', multipart, number of parts, tail, offset, part_bytes}; {'busy'} while
-- another writer has it; {'gone'} if it does not exist or is complete.
local id, writer = ARGV[1], ARGV[2]
local v = redis.call('HMGET', upload_key(id), 'arriving', 'writer', 'lease_until_s', 'multipart', 'tail', 'offset',
                     'part_bytes')
if v[1] ~= '1' then return { 'gone' } end
if v[2] ~= writer and tonumber(v[3]) > now() then return { 'busy' } end
redis.call('HSET', upload_key(id), 'writer', writer)
lease(id)
return { 'ok', v[4], redis.call('LLEN', parts_key(id)), v[5], v[6], v[7] }
