-- ARGV: feed, worker, fence. Returns the record and the secrets, for its owner.
local f = find(ARGV[1])
if not f then return { 'gone' } end
if not holds(f, ARGV[2], ARGV[3]) then return { 'fenced' } end
return { 'ok', all(f.id), redis.call('HGETALL', secrets_key(f.id)) }
