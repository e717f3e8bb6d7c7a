-- ARGV: feed, worker, fence, report in format 1, whole report ('' if it has no more).
local f = find(ARGV[1])
if not f then return { 'gone' } end
if not holds(f, ARGV[2], ARGV[3]) then return { 'fenced' } end
set(f.id, 'report', ARGV[4], 'whole_report', ARGV[5] ~= '' and ARGV[3] .. ' ' .. ARGV[5] or '')
local accused = f.losses > 0 or f.deaths > 0 or f.trial_s < FEED_PROVEN_S
if accused and now() - f.claimed_s > FEED_PROVEN_S then forget(f.id) end
return { 'ok' }
