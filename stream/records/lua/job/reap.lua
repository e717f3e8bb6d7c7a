-- No ARGV. Queues tasks of silent workers again; returns the records of jobs that this failed.
-- An expired lease is only marked at first: if Redis was unreachable, its owner can renew it.
local SAMPLE = 2 -- every process does this every two seconds
local ended = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', text(now()), 'LIMIT', 0, 100)) do
  local id, name = string.match(member, '^(%S+) (%S+)$')
  local j, t = find(id), task(id, name)
  if not j or not t or FINAL[j.state] or t.state ~= 'run' then
    release(id, name)
  elseif not t.late then
    t.late = true
    put(id, name, t)
    lease(id, name, j.owner, now() + GRACE_S)
  else
    lapse(id, name, t)
    if FINAL[find(id).state] then ended[#ended + 1] = all(id) end
  end
end
if is_repair_due() then
  clean()
  repair()
end
-- Correct some counts of waiting tasks: those of jobs that a process of an older version, which does not count, has
-- changed, and of records that have expired.
for _, id in ipairs(redis.call('HRANDFIELD', WAITING, SAMPLE)) do
  if id ~= 'total' then count_waiting(id, takeable(find(id))) end
end
for _, owner in ipairs(redis.call('ZRANDMEMBER', OWNERS, SAMPLE)) do
  local id = redis.call('ZRANGE', ready_key(owner), 0, 0)[1]
  if id then count_waiting(id, takeable(find(id))) end
end
return ended
