-- ARGV: job, task, worker, fence. The process that ran the task died, but not its worker: the job is to blame.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
t.kills = t.kills + 1
if t.kills < DELIVERIES then
  give_back(j.id, ARGV[2], t)
else
  put(j.id, ARGV[2], t)
  finish(j, 'failed', POISON, 'it killed the process that worked on it ' .. t.kills .. ' times')
end
return { 'ok', all(j.id) }
