-- ARGV: session, worker, fence, new state, reason, states that allow the transition (",a,b,").
local s, to, reason = find(ARGV[1]), ARGV[4], ARGV[5]
if not s then return { 'gone' } end
if not holds(s, ARGV[2], ARGV[3]) then return { 'fenced' } end
if s.state == to then return { 'ok', all(s.id) } end -- a repeat
if not string.find(ARGV[6], ',' .. s.state .. ',', 1, true) then return { 'bad', s.state } end
if to == 'live' and s.kind == 'publish' then
  local other = holder(s.name)
  if other and other.id ~= s.id then
    if other.owner ~= s.owner then return { NAME_TAKEN } end
    if other.state == 'offered' then
      take_away(other, 'ended', REPLACED)
    else
      send(other.worker, cjson.encode({ kind = 'end', session = other.id, reason = REPLACED }))
    end
  end
  claim_name(s)
end
if FINAL[to] then
  finish(s, to, reason)
else
  set(s.id, 'state', to, 'reason', reason)
  keep(s.id, now() + LEASE_S)
end
return { 'ok', all(s.id) }
