-- ARGV: owner, creation time and id of the job before the page ('' and '' for the first page), number of jobs.
-- Returns {the same two for the next page or '', '', record …}, newest first. Jobs of the same microsecond are ordered by
-- id, so a page begins at the same place even when the job before it was removed.
local owner, score, id, count = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
account_old(owner)

-- The next entries of the list, as {id, score}.
local function following()
  local key, found = listed_key(owner), {}
  local function add(flat, before)
    for i = 1, #flat, 2 do
      if not before or flat[i] < before then found[#found + 1] = { id = flat[i], score = flat[i + 1] } end
    end
  end
  if score ~= '' then add(redis.call('ZREVRANGEBYSCORE', key, score, score, 'WITHSCORES'), id) end
  local from = score ~= '' and '(' .. score or '+inf'
  add(redis.call('ZREVRANGEBYSCORE', key, from, '-inf', 'WITHSCORES', 'LIMIT', 0, count + 1))
  return found
end

local reply, found = { '', '' }, following()
while #found > 0 do
  for _, entry in ipairs(found) do
    if redis.call('EXISTS', job_key(entry.id)) == 0 then -- it has expired
      forget(owner, entry.id)
    elseif #reply == count + 2 then
      reply[1], reply[2] = score, id
      return reply
    else
      reply[#reply + 1] = all(entry.id)
      score, id = entry.score, entry.id
    end
  end
  found = following()
end
return reply
