-- ARGV: id, worker, fence, and the name if it publishes, else '', of each session. Returns for each 'ok'; 'lost' where
-- the worker no longer owns it; 'gone' where Redis has lost its data. This is the script that runs most often: it extends
-- leases with one command for all sessions, and lifetimes of records only once in KEEP_EVERY_S.
local KEEP_EVERY_S = KEEP_S / 10
local at_s = now()
local due = {}

local function renewed(id, worker, fence, name)
  local state, owner, held, late, kept_s =
    unpack(redis.call('HMGET', session_key(id), 'state', 'worker', 'fence', 'late', 'kept_s'))
  if not state then return 'gone' end
  if FINAL[state] or owner ~= worker or held ~= fence then return 'lost' end
  if late then redis.call('HDEL', session_key(id), 'late') end
  due[#due + 1] = text(at_s + LEASE_S)
  due[#due + 1] = id
  local is_old = at_s - tonumber(kept_s or 0) > KEEP_EVERY_S
  if is_old then keep(id, at_s + LEASE_S) end
  if name ~= '' then
    local publisher = redis.call('GET', name_key(name))
    if not publisher or (is_old and publisher == id) then claim_name({ id = id, name = name }) end
  end
  return 'ok'
end

local replies = {}
for i = 1, #ARGV, 4 do
  replies[#replies + 1] = renewed(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
if #due > 0 then
  redis.call('ZADD', DUE, unpack(due))
  redis.call('EXPIRE', DUE, KEEP_S)
end
return replies
