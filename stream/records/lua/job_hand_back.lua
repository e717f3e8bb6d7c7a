-- ARGV: job, task, worker, fence. Nobody's fault: its worker goes.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
give_back(j.id, ARGV[2], t)
return { 'ok', all(j.id) }
