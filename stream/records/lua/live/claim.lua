-- ARGV: worker. Returns an offer that was delivered to another worker but not taken, {entry, session, sdp}, or nil.
redis.pcall('XGROUP', 'CREATE', OFFERS, GROUP, '0', 'MKSTREAM')
redis.call('EXPIRE', OFFERS, QUEUE_S)
while true do
  local entry = redis.call('XAUTOCLAIM', OFFERS, GROUP, ARGV[1], CLAIM_MS, '0', 'COUNT', 1)[2][1]
  if not entry then return nil end
  local pending = redis.call('XPENDING', OFFERS, GROUP, entry[1], entry[1], 1)[1]
  if pending[4] <= DELIVERIES then return { entry[1], entry[2][2], entry[2][4] } end
  local s = find(entry[2][2])
  if s and s.state == 'offered' then take_away(s, 'failed', POISON) end
  redis.call('XACK', OFFERS, GROUP, entry[1])
  redis.call('XDEL', OFFERS, entry[1])
end
