-- No ARGV. Returns the number of feeds in each state, as a flat list, and the reports of the running ones.
local function whole_report(fence, whole)
  local written, text = string.match(whole or '', '^(%d+) (.*)$')
  return written == fence and text or nil
end

local counts, states, reports = {}, {}, {}
for _, id in ipairs(redis.call('SMEMBERS', FEEDS)) do
  local state, fence, report, whole = unpack(redis.call('HMGET', feed_key(id), 'state', 'fence', 'report', 'whole_report'))
  if state then counts[state] = (counts[state] or 0) + 1 end
  if state == 'running' then reports[#reports + 1] = whole_report(fence, whole) or report or '{}' end
end
for state, count in pairs(counts) do
  states[#states + 1] = state
  states[#states + 1] = count
end
return { states, reports }
