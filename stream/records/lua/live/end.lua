-- ARGV: session, reason, command for its worker.
local s = find(ARGV[1])
if not s then return { 'gone' } end
if s.state == 'offered' then
  take_away(s, 'ended', ARGV[2])
elseif not FINAL[s.state] then
  send(s.worker, ARGV[3])
end
return { 'ok' }
