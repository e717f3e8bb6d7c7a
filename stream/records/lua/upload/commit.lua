-- ARGV: upload, writer, seconds it is kept, multipart, number of parts to keep, tail, offset, then further parts.
-- Returns 1; 0 if another writer has the upload.
local id, kept = ARGV[1], tonumber(ARGV[5])
if not holds(id, ARGV[2]) then return 0 end
if kept == 0 then
  redis.call('DEL', parts_key(id))
else
  redis.call('LTRIM', parts_key(id), 0, kept - 1)
end
for i = 8, #ARGV do redis.call('RPUSH', parts_key(id), ARGV[i]) end
redis.call('HSET', upload_key(id), 'multipart', ARGV[4], 'tail', ARGV[6], 'offset', ARGV[7])
touch(id, tonumber(ARGV[3]))
return 1
