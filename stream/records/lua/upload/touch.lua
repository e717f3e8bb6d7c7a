-- ARGV: upload, seconds it is kept. Returns when it expires; nil if it does not exist.
if not get(ARGV[1], 'owner') then return nil end
return touch(ARGV[1], tonumber(ARGV[2]))
