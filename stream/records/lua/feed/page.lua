-- ARGV: owner, creation time and id of the feed before the page ('' and '' for the first page), number of feeds.
-- Returns {the same two for the next page or '', '', record …}, newest first. Feeds of the same microsecond are ordered
-- by id, so a page begins at the same place even when the feed before it was removed.
local key, score, before, count = of_key(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local found = {}
local function add(flat, id)
  for i = 1, #flat, 2 do
    if not id or flat[i] < id then found[#found + 1] = { id = flat[i], score = flat[i + 1] } end
  end
end
if score ~= '' then add(redis.call('ZREVRANGEBYSCORE', key, score, score, 'WITHSCORES'), before) end
local from = score ~= '' and '(' .. score or '+inf'
add(redis.call('ZREVRANGEBYSCORE', key, from, '-inf', 'WITHSCORES', 'LIMIT', 0, count + 1))

local reply = { '', '' }
for i, entry in ipairs(found) do
  if i > count then
    reply[1], reply[2] = found[count].score, found[count].id
    break
  end
  reply[#reply + 1] = all(entry.id)
end
return reply
