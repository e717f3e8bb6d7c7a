-- ARGV: session, worker, fence, answer.
local s = find(ARGV[1])
if not s then return { 'gone' } end
if not holds(s, ARGV[2], ARGV[3]) then return { 'fenced' } end
local key = PREFIX .. 'answer:' .. s.id
redis.call('RPUSH', key, ARGV[4])
redis.call('EXPIRE', key, ANSWER_S)
return { 'ok' }
