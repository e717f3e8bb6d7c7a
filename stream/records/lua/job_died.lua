-- ARGV: job, task, worker, fence. The process that worked on it is dead and the worker is not: it was the job's fault.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
t.kills = t.kills + 1
if t.kills < DELIVERIES then
  give_back(j.id, ARGV[2], t)
else
  put(j.id, ARGV[2], t)
  finish(j, 'failed', POISON, 'it ended the process that worked on it ' .. t.kills .. ' times')
end
return { 'ok', all(j.id) }
