-- ARGV: worker, then id and fence of each of its feeds. Returns for each its version; 'lost' where the worker no longer
-- owns it; 'gone' where Redis has lost its data.
note_contact()
local result = {}
for i = 2, #ARGV, 2 do
  local f, answer = find(ARGV[i]), 'lost'
  if f and holds(f, ARGV[1], ARGV[i + 1]) then
    lease(f.id)
    answer = f.version
  elseif not f and redis.call('EXISTS', removed_key(ARGV[i])) == 0 then
    answer = 'gone'
  end
  result[#result + 1] = answer
end
return result
