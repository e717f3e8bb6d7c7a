-- ARGV: worker, known to be dead. Queues its tasks again at once; returns the records of jobs that this failed.
local ended = {}
for _, lease in ipairs(leases()) do
  local t = task(lease.id, lease.name)
  if t and t.worker == ARGV[1] then
    lapse(lease.id, lease.name, t)
    if FINAL[find(lease.id).state] then ended[#ended + 1] = all(lease.id) end
  end
end
return ended
