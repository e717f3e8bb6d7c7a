-- ARGV: session, stream entry of its offer. Puts the offer at the end of the stream: the worker that got it cannot
-- process it, but another one may.
local s = find(ARGV[1])
local entry = redis.call('XRANGE', OFFERS, ARGV[2], ARGV[2])[1]
drop_offer({ entry = ARGV[2] })
if s and s.state == 'offered' and entry then
  local moved = redis.call('XADD', OFFERS, '*', unpack(entry[2]))
  redis.call('HSET', session_key(s.id), 'entry', moved)
end
