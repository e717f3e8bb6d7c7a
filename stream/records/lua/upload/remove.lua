-- ARGV: upload.
local id, owner = ARGV[1], get(ARGV[1], 'owner')
if owner then redis.call('HDEL', of_key(owner), id) end
redis.call('DEL', upload_key(id), parts_key(id))
redis.call('ZREM', EXPIRIES, id)
return 1
