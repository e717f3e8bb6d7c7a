-- ARGV: worker that has died: what it had waits again at once.
local ended = {}
for _, one in ipairs(leases()) do
  local t = task(one.id, one.name)
  if t and t.worker == ARGV[1] then
    lapse(one.id, one.name, t)
    if FINAL[find(one.id).state] then ended[#ended + 1] = all(one.id) end
  end
end
return ended
