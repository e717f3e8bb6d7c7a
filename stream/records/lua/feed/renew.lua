-- ARGV: worker, then id and fence of each of its feeds. Returns for each its version; 'lost' where the worker no longer
-- owns it; 'gone' where Redis has lost its data.
note_contact()

-- Redis was killed and has lost its last writes, the worker's claim among them: every other change of ownership would
-- have increased the fence.
local function claim_again(f, worker, fence)
  release(f)
  dequeue(f.id)
  set(f.id, 'state', 'running', 'worker', worker, 'fence', fence, 'claimed_s', text(now()), 'reason', '')
  f.state, f.worker, f.fence = 'running', worker, fence
  note_worker(worker, f.id)
end

local is_noted = redis.call('EXPIRE', on_key(ARGV[1]), KEEP_S) == 1
local result, leases = {}, {}
for i = 2, #ARGV, 2 do
  local f, answer = find(ARGV[i]), 'lost'
  local known = f and (f.state == 'waiting' or f.state == 'running')
  if known and tonumber(f.fence) < tonumber(ARGV[i + 1]) then claim_again(f, ARGV[1], ARGV[i + 1]) end
  if f and holds(f, ARGV[1], ARGV[i + 1]) then
    leases[#leases + 1] = text(now() + FEED_LEASE_S)
    leases[#leases + 1] = f.id
    if not is_noted then note_worker(ARGV[1], f.id) end -- as `claim` did
    redis.call('HSET', feed_key(f.id), 'renewed_s', text(now()))
    answer = f.version
  elseif not f and redis.call('EXISTS', removed_key(ARGV[i])) == 0 then
    answer = 'gone'
  end
  result[#result + 1] = answer
end
if #leases > 0 then redis.call('ZADD', LEASED, unpack(leases)) end
return result
