-- ARGV: job, task, worker, fence, finished frames, '1' if the worker is shutting down.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
t.frames, t.late, t.leaving = tonumber(ARGV[5]), nil, ARGV[6] == '1' or nil
put(j.id, ARGV[2], t)
lease(j.id, ARGV[2], now() + LEASE_S)
progress(j.id, false)
keep(j.id)
return { 'ok', all(j.id) }
