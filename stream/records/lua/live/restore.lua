-- ARGV: the record's pairs. Redis has lost its data: restores the owner's copy of a session. Returns 'ok', or 'lost' if
-- the worker does not own it.
local record, fields = {}, {}
for i = 1, #ARGV, 2 do
  record[ARGV[i]] = ARGV[i + 1]
  fields[#fields + 1] = ARGV[i]
  fields[#fields + 1] = ARGV[i + 1]
end
if FINAL[record.state] then return 'lost' end
local s = find(record.id)
if s then return not FINAL[s.state] and holds(s, record.worker, record.fence) and 'ok' or 'lost' end
local other = record.kind == 'publish' and holder(record.name)
if other and other.id ~= record.id then return 'lost' end
write(record.id, fields)
keep(record.id, now() + LEASE_S)
if record.kind == 'publish' then claim_name(record) end
return 'ok'
