-- Shared by the scripts of uploads.
local EXPIRIES = PREFIX .. 'uploads'

local function upload_key(id) return PREFIX .. 'upload:' .. id end

local function parts_key(id) return PREFIX .. 'upload-parts:' .. id end

local function of_key(owner) return PREFIX .. 'uploads-of:' .. owner end

local function get(id, field) return redis.call('HGET', upload_key(id), field) end

local function lease(id) redis.call('HSET', upload_key(id), 'lease_until_s', text(now() + UPLOAD_LEASE_S)) end

-- Whether a writer still has the upload: no other has opened it since. Renews its lease, which may have expired.
local function holds(id, writer)
  if get(id, 'writer') ~= writer then return false end
  lease(id)
  return true
end

-- Let the upload expire `keep_s` seconds from now. Returns when that is.
local function touch(id, keep_s)
  local expires_s, kept_s = text(now() + keep_s), math.ceil(keep_s + UPLOAD_SPARE_S)
  redis.call('HSET', upload_key(id), 'expires_s', expires_s)
  redis.call('ZADD', EXPIRIES, expires_s, id)
  for _, key in ipairs({ upload_key(id), parts_key(id), EXPIRIES, of_key(get(id, 'owner')) }) do
    redis.call('EXPIRE', key, kept_s)
  end
  return expires_s
end
