-- ARGV: upload, writer.
if get(ARGV[1], 'writer') == ARGV[2] then redis.call('HSET', upload_key(ARGV[1]), 'lease_until_s', '0') end
return 1
