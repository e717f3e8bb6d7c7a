-- ARGV: feed, worker, fence, how, reason, detail. The worker ends it. how: 'back', because the worker shuts down;
-- 'crashed', by an unexpected error; 'failed', because it cannot run.
local f, how = find(ARGV[1]), ARGV[4]
if not f then return { 'gone' } end
if not holds(f, ARGV[2], ARGV[3]) then return { 'fenced' } end
if how == 'back' then
  wait_again(f)
elseif how == 'crashed' then
  blame(f, ARGV[5], 1)
else
  take_away(f, 'failed', ARGV[5], ARGV[6])
end
return { 'ok' }
