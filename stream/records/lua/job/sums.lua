-- The progress of a job as sums over its segments, so that no script reads all tasks at each renewal: fields sum_… of
-- its record. `put` keeps them up to date. They are valid while `sums_s` is the time of the last report of progress: an
-- older version of this program reports progress without them, and they are then counted again. Shared by the scripts
-- of this folder, before common.lua.
local function is_segment(name) return string.match(name, '^%d+$') ~= nil end

local function done_of(t) return t.state == 'done' and 1 or 0 end

-- Add the change of a segment. before: the task as it was read.
local function add_to_sums(id, before, t)
  local key = job_key(id)
  if t.frames ~= before.frames then redis.call('HINCRBY', key, 'sum_frames', t.frames - before.frames) end
  if done_of(t) ~= before.done then redis.call('HINCRBY', key, 'sum_done', done_of(t) - before.done) end
end

-- Have the sums counted again when they are next needed, because segments were added.
local function forget_sums(id) redis.call('HDEL', job_key(id), 'sums_s') end

local function count_sums(id)
  local frames, segments, done = 0, 0, 0
  local flat = redis.call('HGETALL', tasks_key(id))
  for i = 1, #flat, 2 do
    if is_segment(flat[i]) then
      local t = cjson.decode(flat[i + 1])
      frames, segments, done = frames + t.frames, segments + 1, done + done_of(t)
    end
  end
  redis.call('HSET', job_key(id), 'sum_frames', frames, 'sum_segments', segments, 'sum_done', done)
  return frames, segments, done
end

-- Finished frames, segments, and finished segments.
local function sums(id)
  local v = redis.call('HMGET', job_key(id), 'counted_s', 'sums_s', 'sum_frames', 'sum_segments', 'sum_done')
  if not v[2] or v[1] ~= v[2] then return count_sums(id) end
  return tonumber(v[3]), tonumber(v[4]), tonumber(v[5])
end
