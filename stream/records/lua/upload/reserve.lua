-- ARGV: upload, writer. Returns a number for a part, which no other writer gets; nil if another writer has the upload.
if not holds(ARGV[1], ARGV[2]) then return nil end
return redis.call('HINCRBY', upload_key(ARGV[1]), 'next_part', 1)
