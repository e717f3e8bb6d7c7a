-- ARGV: job, task, worker, fence. The process that ran the task died, but not its worker: see poison_jobs.lua.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
crashed(j, ARGV[2], t)
return { 'ok', all(j.id) }
