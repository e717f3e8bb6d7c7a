-- ARGV: values per session, then the pairs of each. Returns the ids of sessions that this worker no longer owns.
local function lost(record, fields)
  local s = find(record.id)
  if s then
    if FINAL[s.state] or not holds(s, record.worker, record.fence) then return true end
    redis.call('HDEL', session_key(s.id), 'late')
  else -- Redis has lost its data: restore the owner's copy
    if FINAL[record.state] then return true end
    local other = record.kind == 'publish' and holder(record.name)
    if other and other.id ~= record.id then return true end
    write(record.id, fields)
  end
  keep(record.id, now() + LEASE_S)
  if record.kind == 'publish' then
    local id = redis.call('GET', name_key(record.name))
    if not id or id == record.id then claim_name(record) end
  end
  return false
end

local step, result = tonumber(ARGV[1]), {}
for first = 2, #ARGV, step do
  local record, fields = {}, {}
  for i = first, first + step - 1, 2 do
    record[ARGV[i]] = ARGV[i + 1]
    fields[#fields + 1] = ARGV[i]
    fields[#fields + 1] = ARGV[i + 1]
  end
  if lost(record, fields) then result[#result + 1] = record.id end
end
return result
