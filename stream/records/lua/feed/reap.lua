-- No ARGV. Lets other workers take the feeds of lost workers.
local PART = 20 -- waiting feeds in one round
release_expired()

-- Feeds that an older version of this program has queued are not among those that need no mattes.
if redis.call('SET', PREFIX .. 'feeds-repaired', '', 'NX', 'EX', 1) then
  local from = math.floor(now()) * PART % math.max(1, redis.call('ZCARD', WAITING_FEEDS))
  for _, id in ipairs(redis.call('ZRANGE', WAITING_FEEDS, from, from + PART - 1)) do sort_unmatted(id) end
end
