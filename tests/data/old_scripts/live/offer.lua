-- ARGV: latest time to accept it, seconds to wait, SDP, command for the publisher's worker (VIEW), the publisher's
-- session (VIEW), then the record's pairs.
local latest_s, wait_s, sdp, command, of = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local record, fields = {}, {}
for i = 6, #ARGV, 2 do
  record[ARGV[i]] = ARGV[i + 1]
  fields[#fields + 1] = ARGV[i]
  fields[#fields + 1] = ARGV[i + 1]
end
local id = record.id
if find(id) then return { 'ok' } end -- a repeat: the first reply was lost

if now() > latest_s then return { 'late' } end -- Redis hung after this was sent, and the client has gone

local publisher = nil
if record.kind == 'view' then
  publisher = find(of)
  if not publisher or publisher.state ~= 'live' then return { NO_STREAM } end
elseif redis.call('XLEN', OFFERS) >= WAITING then
  return { FULL }
end
if record.kind == 'publish' then
  local other = holder(record.name)
  if other and other.owner ~= record.owner then return { NAME_TAKEN } end
  if not other then claim_name(record) end
end

local start_s = now()
write(id, fields)
redis.call('HSET', session_key(id), 'created_s', text(start_s), 'updated_s', text(start_s))
if publisher then
  redis.call('HSET', session_key(id), 'worker', publisher.worker)
  send(publisher.worker, command)
else
  local entry = redis.call('XADD', OFFERS, '*', 'session', id, 'sdp', sdp)
  redis.call('EXPIRE', OFFERS, QUEUE_S)
  redis.call('HSET', session_key(id), 'entry', entry)
end
keep(id, start_s + wait_s)
return { 'ok' }
