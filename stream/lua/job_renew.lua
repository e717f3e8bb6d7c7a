-- ARGV: job, task, worker, fence, frames done of it.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
t.frames, t.late = tonumber(ARGV[5]), nil
put(j.id, ARGV[2], t)
lease(j.id, ARGV[2], now() + LEASE_S)
progress(j.id, false)
keep(j.id)
return { 'ok', all(j.id) }
