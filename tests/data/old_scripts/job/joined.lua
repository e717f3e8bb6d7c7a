-- ARGV: job, worker, fence, results, warnings.
local j, t, refused = claimed(ARGV[1], JOIN, ARGV[2], ARGV[3])
if refused then return refused end
t.state = 'done'
put(j.id, JOIN, t)
redis.call('HSET', job_key(j.id), 'results', ARGV[4], 'warnings', ARGV[5])
progress(j.id, true)
finish(j, 'done', '', '')
return { 'ok', all(j.id) }
