-- ARGV: job, task, worker, fence, reason, detail, '1' if another attempt may succeed.
local j, t, refused = claimed(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if refused then return refused end
t.tries = t.tries + 1
if ARGV[7] == '1' and t.tries < TRIES then
  give_back(j.id, ARGV[2], t)
else
  put(j.id, ARGV[2], t)
  finish(j, 'failed', ARGV[5], ARGV[6])
end
return { 'ok', all(j.id) }
