-- ARGV: upload, owner, record, its size in bytes, size of its parts, seconds it is kept, the owner's limits: bytes,
-- number. Returns {'ok', when it expires}, or {problem, the bytes that the owner's uploads have}.
local id, owner, bytes, keep_s = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[6])
local quota, most = tonumber(ARGV[7]), tonumber(ARGV[8])

local function used()
  local sum, count = 0, 0
  for _, size in ipairs(redis.call('HVALS', of_key(owner))) do
    sum, count = sum + tonumber(size), count + 1
  end
  return sum, count
end

-- Records that expired while no web process ran.
local function forget_expired()
  for _, other in ipairs(redis.call('HKEYS', of_key(owner))) do
    if redis.call('EXISTS', upload_key(other)) == 0 then redis.call('HDEL', of_key(owner), other) end
  end
end

if get(id, 'owner') then return { 'ok', get(id, 'expires_s') } end -- a repeat: the first reply was lost
local sum, count = used()
if sum + bytes > quota or count >= most then
  forget_expired()
  sum, count = used()
end
if count >= most then return { TOO_MANY, text(sum) } end
if sum + bytes > quota then return { OVER_QUOTA, string.format('%.0f', sum) } end
redis.call('HSET', upload_key(id), 'owner', owner, 'record', ARGV[3], 'arriving', '1', 'part_bytes', ARGV[5],
           'offset', '0', 'tail', '[]', 'multipart', '', 'writer', '', 'lease_until_s', '0', 'next_part', '0')
redis.call('HSET', of_key(owner), id, ARGV[4])
return { 'ok', touch(id, keep_s) }
