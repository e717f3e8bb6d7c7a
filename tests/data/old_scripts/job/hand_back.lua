-- ARGV: job, task, worker, fence. The worker is shutting down: queue the task again, without counting a failure.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
give_back(j.id, ARGV[2], t)
return { 'ok', all(j.id) }
