-- ARGV: session, worker, fence and meters, of each session. Returns a reply for each.
local function reported(id, worker, fence, meters)
  local state, owner, held = unpack(redis.call('HMGET', session_key(id), 'state', 'worker', 'fence'))
  if not state then return { 'gone' } end
  if owner ~= worker or held ~= fence then return { 'fenced' } end
  if FINAL[state] then return { 'bad', state } end
  set(id, 'meters', meters)
  return { 'ok' }
end

local replies = {}
for i = 1, #ARGV, 4 do
  replies[#replies + 1] = reported(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
return replies
