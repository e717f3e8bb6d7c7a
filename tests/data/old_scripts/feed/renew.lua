-- ARGV: worker, then id and fence of each of its feeds. Returns for each its version; 'lost' where the worker no longer
-- owns it; 'gone' where Redis has lost its data.
note_contact()

-- Redis was killed and has lost its last writes, the worker's claim among them: every other change of ownership would
-- have increased the fence.
local function claim_again(f, worker, fence)
  redis.call('ZREM', WAITING_FEEDS, f.id)
  set(f.id, 'state', 'running', 'worker', worker, 'fence', fence, 'claimed_s', text(now()), 'reason', '')
  f.state, f.worker, f.fence = 'running', worker, fence
end

local result = {}
for i = 2, #ARGV, 2 do
  local f, answer = find(ARGV[i]), 'lost'
  local known = f and (f.state == 'waiting' or f.state == 'running')
  if known and tonumber(f.fence) < tonumber(ARGV[i + 1]) then claim_again(f, ARGV[1], ARGV[i + 1]) end
  if f and holds(f, ARGV[1], ARGV[i + 1]) then
    lease(f.id)
    redis.call('HSET', feed_key(f.id), 'renewed_s', text(now()))
    answer = f.version
  elseif not f and redis.call('EXISTS', removed_key(ARGV[i])) == 0 then
    answer = 'gone'
  end
  result[#result + 1] = answer
end
return result
