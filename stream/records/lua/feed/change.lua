-- ARGV: feed, the version that the change is based on, whether it shall run ('1' or '0'), name, options, outputs, format,
-- number of removed fields of the secrets, these, then the pairs of added ones.
local f, run, name = find(ARGV[1]), ARGV[3] == '1', ARGV[4]
if not f then return { 'gone' } end
if f.version ~= ARGV[2] then return { 'changed' } end
if name ~= f.name then
  if redis.call('HEXISTS', names_key(f.owner), name) == 1 then return { 'name_in_use' } end
  redis.call('HDEL', names_key(f.owner), f.name)
  redis.call('HSET', names_key(f.owner), name, f.id)
end
local removed = tonumber(ARGV[8])
for i = 9, 8 + removed do redis.call('HDEL', secrets_key(f.id), ARGV[i]) end
local _, added = pairs_of(9 + removed, #ARGV)
if #added > 0 then redis.call('HSET', secrets_key(f.id), unpack(added)) end
redis.call('HINCRBY', feed_key(f.id), 'version', 1)
set(f.id, 'name', name, 'options', ARGV[5], 'outputs', ARGV[6], 'format', ARGV[7])
if not run and f.state ~= 'stopped' then
  take_away(f, 'stopped', '', '')
elseif run and (f.state == 'stopped' or f.state == 'failed') then
  forget(f.id)
  take_away(f, 'waiting', '', '')
else
  sort_unmatted(f.id)
end
return { 'ok', all(f.id) }
