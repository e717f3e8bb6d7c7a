-- ARGV: upload, writer, the record of the complete upload, bytes that it counts for its owner, seconds it is kept.
-- Returns 1; 0 if another writer has the upload.
local id = ARGV[1]
if not holds(id, ARGV[2]) then return 0 end
redis.call('HSET', upload_key(id), 'record', ARGV[3], 'arriving', '0', 'tail', '[]', 'multipart', '')
redis.call('DEL', parts_key(id))
redis.call('HSET', of_key(get(id, 'owner')), id, ARGV[4])
touch(id, tonumber(ARGV[5]))
return 1
