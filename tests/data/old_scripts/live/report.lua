-- ARGV: session, worker, fence, meters.
local s = find(ARGV[1])
if not s then return { 'gone' } end
if not holds(s, ARGV[2], ARGV[3]) then return { 'fenced' } end
if FINAL[s.state] then return { 'bad', s.state } end
set(s.id, 'meters', ARGV[4])
return { 'ok' }
