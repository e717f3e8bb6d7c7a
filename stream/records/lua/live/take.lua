-- ARGV: session, worker, stream entry of the offer ('' for viewers), what the worker understands. Returns {deadline,
-- record}; {'left'} if it is left to workers of other versions; nil: too late.
local id, worker, entry = ARGV[1], ARGV[2], ARGV[3]

-- Put the offer at the end of the stream: another worker may be able to process it.
local function requeue()
  local found = redis.call('XRANGE', OFFERS, entry, entry)[1]
  drop_offer({ entry = entry })
  if found then redis.call('HSET', session_key(id), 'entry', redis.call('XADD', OFFERS, '*', unpack(found[2]))) end
end

local s, due_s = find(id), redis.call('ZSCORE', DUE, id)
local is_open = s and due_s and s.state == 'offered' and tonumber(due_s) > now()
if is_open and not reader(ARGV[4])(s.format, s.options) then
  if entry ~= '' then requeue() end
  return { 'left' }
end
drop_offer({ entry = entry })
if not s or not due_s then return nil end
if s.state == 'connecting' and s.worker == worker then return { due_s, all(id) } end -- a repeat
if not is_open then return nil end
if entry == '' and (s.kind ~= 'view' or s.worker ~= worker) then return nil end
redis.call('HINCRBY', session_key(id), 'fence', 1)
redis.call('HDEL', session_key(id), 'entry')
set(id, 'state', 'connecting', 'worker', worker)
keep(id, now() + LEASE_S)
return { due_s, all(id) }
