-- When a job is given up as "poison", because it takes down what works on it: after DELIVERIES crashes of the process
-- that runs its task, or after LOSSES lost workers (lifetimes.py has the numbers). Shared by the scripts of this
-- folder, after common.lua.

-- The process that ran a task crashed, but not its worker: the job is to blame. Retry the task, or fail the job.
local function crashed(j, name, t)
  t.kills = t.kills + 1
  if t.kills < DELIVERIES then return give_back(j.id, name, t) end
  put(j.id, name, t)
  finish(j, 'failed', POISON, 'it killed the process that worked on it ' .. t.kills .. ' times')
end

-- A task's worker died, or was silent for too long. The job is rarely to blame, because its task runs in a process of
-- its own; but some jobs take down whole machines. Retry the task, or fail the job.
local function lapse(id, name, t)
  if not t.leaving then t.lost = (t.lost or 0) + 1 end
  if (t.lost or 0) < LOSSES then return give_back(id, name, t) end
  put(id, name, t)
  finish(find(id), 'failed', POISON, t.lost .. ' workers were lost while working on it')
end
