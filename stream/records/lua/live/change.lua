-- ARGV: session, options, command for its worker, format.
local s = find(ARGV[1])
if not s then return { 'gone' } end
if FINAL[s.state] then return { 'bad', s.state } end
set(s.id, 'options', ARGV[2], 'format', ARGV[4])
if s.worker ~= '' then send(s.worker, ARGV[3]) end
return { 'ok', all(s.id) }
