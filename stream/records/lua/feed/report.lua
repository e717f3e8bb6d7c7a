-- ARGV: feed, worker, fence, report.
local f = find(ARGV[1])
if not f then return { 'gone' } end
if not holds(f, ARGV[2], ARGV[3]) then return { 'fenced' } end
set(f.id, 'report', ARGV[4])
local accused = f.losses > 0 or f.deaths > 0 or f.trial_s < FEED_PROVEN_S
if accused and now() - f.claimed_s > FEED_PROVEN_S then forget(f.id) end
return { 'ok' }
