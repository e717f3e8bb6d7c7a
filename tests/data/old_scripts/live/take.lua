-- ARGV: session, worker, stream entry of the offer ('' for viewers). Returns {deadline, record}, or nil: too late.
local id, worker, entry = ARGV[1], ARGV[2], ARGV[3]
drop_offer({ entry = entry })
local s, due_s = find(id), redis.call('ZSCORE', DUE, id)
if not s or not due_s then return nil end
if s.state == 'connecting' and s.worker == worker then return { due_s, all(id) } end -- a repeat
if s.state ~= 'offered' or tonumber(due_s) <= now() then return nil end
if entry == '' and (s.kind ~= 'view' or s.worker ~= worker) then return nil end
redis.call('HINCRBY', session_key(id), 'fence', 1)
redis.call('HDEL', session_key(id), 'entry')
set(id, 'state', 'connecting', 'worker', worker)
keep(id, now() + LEASE_S)
return { due_s, all(id) }
