-- ARGV: session, worker, fence, SDP, when its client stops waiting. The worker, which is shutting down, has not answered
-- the offer: other workers can take it again.
local s = find(ARGV[1])
if not s then return { 'gone' } end
if not holds(s, ARGV[2], ARGV[3]) then return { 'fenced' } end
if s.state ~= 'connecting' then return { 'bad', s.state } end
local entry = redis.call('XADD', OFFERS, '*', 'session', s.id, 'sdp', ARGV[4])
redis.call('EXPIRE', OFFERS, QUEUE_S)
set(s.id, 'state', 'offered', 'worker', '', 'entry', entry)
keep(s.id, tonumber(ARGV[5]))
return { 'ok' }
