-- Shared by all scripts. `stream/records/redis_keys.py` documents the keys. Times are those of Redis, in seconds.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function text(seconds) return string.format('%.3f', seconds) end
