-- ARGV: Redis key for the idempotency key or '', the owner's limits of unfinished jobs and of bytes ('' for none), then
-- the record's pairs. Returns the job's record; where the idempotency key is known, that of the job created with it.
local record, fields = {}, {}
for i = 4, #ARGV, 2 do
  record[ARGV[i]] = ARGV[i + 1]
  fields[#fields + 1] = ARGV[i]
  fields[#fields + 1] = ARGV[i + 1]
end
local known = ARGV[1] ~= '' and redis.call('GET', ARGV[1])
if known and find(known) then return { 'ok', all(known) } end
local id = record.id
if find(id) then return { 'ok', all(id) } end -- a repeat: the first reply was lost
local refused = over_quota(record.owner, ARGV[2], ARGV[3])
if refused then return refused end

write(id, fields)
redis.call('HSET', job_key(id), 'state', 'queued', 'created_s', string.format('%.6f', now()))
set(id, 'fence', 0)
put_new(id, PLAN)
redis.call('RPUSH', todo_key(id), PLAN)
if ARGV[1] ~= '' then redis.call('SET', ARGV[1], id, 'EX', JOB_REPEAT_S) end
offer(id)
keep(id)
return { 'ok', all(id) }
