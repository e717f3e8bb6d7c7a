-- No ARGV. Returns the number of feeds in each state, as a flat list, and the reports of the running ones.
local counts, states, reports = {}, {}, {}
for _, id in ipairs(redis.call('SMEMBERS', FEEDS)) do
  local state = redis.call('HGET', feed_key(id), 'state')
  if state then counts[state] = (counts[state] or 0) + 1 end
  if state == 'running' then reports[#reports + 1] = redis.call('HGET', feed_key(id), 'report') or '{}' end
end
for state, count in pairs(counts) do
  states[#states + 1] = state
  states[#states + 1] = count
end
return { states, reports }
