-- ARGV: feed, worker, fence, report.
local f = find(ARGV[1])
if not f then return { 'gone' } end
if not holds(f, ARGV[2], ARGV[3]) then return { 'fenced' } end
set(f.id, 'report', ARGV[4])
if f.losses > 0 and now() - f.claimed_s > FEED_PROVEN_S then redis.call('HSET', feed_key(f.id), 'losses', 0) end
return { 'ok' }
