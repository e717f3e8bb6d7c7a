-- Shared by the scripts of file jobs. A task is stored as JSON: state ("todo", "run" or "done"), worker, fence, kills
-- (processes that died of it), lost (workers lost while they had it), tries (failed attempts), frames (finished ones),
-- note (its worker's text for the join task), late (its lease has expired), leaving (its worker is shutting down).
local MAX_TOKENS = 64
local KEEP_EVERY_S = 60 -- how often the expiry of a job that is only renewed is extended

-- The fields of a job that scripts need, or nil if it does not exist.
local function find(id)
  local v = redis.call('HMGET', job_key(id), 'state', 'owner', 'priority', 'created_s', 'webhook')
  if not v[1] then return nil end
  return { id = id, state = v[1], owner = v[2], priority = tonumber(v[3]), created_s = tonumber(v[4]), webhook = v[5] }
end

-- A record as JSON, [name, value, name, value …]: one string, which clients read much faster than a list of strings.
local function all(id) return cjson.encode(redis.call('HGETALL', job_key(id))) end

local function set(id, ...)
  redis.call('HSET', job_key(id), 'updated_s', text(now()), ...)
end

-- HSET with all pairs of `fields`, a flat list.
local function write(id, fields) redis.call('HSET', job_key(id), unpack(fields)) end

local function keep(id)
  for _, key in ipairs({ job_key(id), tasks_key(id), todo_key(id), plan_key(id), JOBS, LEASES, ENDED, HOOKS }) do
    redis.call('EXPIRE', key, JOB_KEEP_S)
  end
  local owner = redis.call('HGET', job_key(id), 'owner')
  for _, index in ipairs({ JOBS, of_key(owner) }) do
    redis.call('ZADD', index, text(now() + JOB_KEEP_S), id)
    redis.call('EXPIRE', index, JOB_KEEP_S)
  end
  prune(owner)
  account(id)
  redis.call('HSET', job_key(id), 'kept_s', text(now()))
end

-- As `keep`, for a job in which only the progress has changed.
local function keep_renewed(id)
  local kept_s, owner, listed = unpack(redis.call('HMGET', job_key(id), 'kept_s', 'owner', 'listed'))
  if now() - tonumber(kept_s or 0) > KEEP_EVERY_S then
    keep(id)
  elseif listed ~= 'false' then
    note_change(owner, id)
  end
end

local read_tasks = {} -- by task: what the sums include of it

local function task(id, name)
  local found = redis.call('HGET', tasks_key(id), name)
  if not found then return found end
  local t = cjson.decode(found)
  read_tasks[t] = { frames = t.frames, done = done_of(t) }
  return t
end

-- Store a task that was read by `task`.
local function put(id, name, t)
  redis.call('HSET', tasks_key(id), name, cjson.encode(t))
  if is_segment(name) then add_to_sums(id, read_tasks[t], t) end
  read_tasks[t] = { frames = t.frames, done = done_of(t) }
end

-- Add a task, or set it back to its beginning.
local function put_new(id, name, fields)
  local t = { state = 'todo', worker = '', fence = 0, kills = 0, tries = 0, frames = 0, note = '' }
  for key, value in pairs(fields or {}) do t[key] = value end
  redis.call('HSET', tasks_key(id), name, cjson.encode(t))
  if is_segment(name) then forget_sums(id) end
end

local function holds(t, worker, fence) return t and t.worker == worker and t.fence == tonumber(fence) end

-- Sort key: priority, then creation time in microseconds; exact in a double until the year 2055.
local function order(j) return (PRIORITY_MOST - j.priority) * 1e15 + math.floor((j.created_s - 1.7e9) * 1e6) end

-- The number of a job's tasks that workers may take.
local function takeable(j)
  return j and (j.state == 'queued' or j.state == 'running') and redis.call('LLEN', todo_key(j.id)) or 0
end

local function count_waiting(id, tasks)
  set_part(WAITING, id, tasks)
  redis.call('EXPIRE', WAITING, JOB_KEEP_S)
end

-- Wake as many workers as there are tasks. While there are tokens left, none waits for one.
local function wake(tasks)
  local tokens = {}
  for i = 1, math.min(tasks, MAX_TOKENS) - redis.call('LLEN', WAKE) do tokens[i] = 1 end
  if #tokens > 0 then redis.call('RPUSH', WAKE, unpack(tokens)) end
  redis.call('EXPIRE', WAKE, 60)
end

-- Add the job to those that workers take tasks from, or remove it, according to its state and tasks.
local function offer(id)
  local j = find(id)
  local waiting = takeable(j)
  count_waiting(id, waiting)
  if waiting == 0 then
    redis.call('ZREM', ready_key(j.owner), id)
    rank(j.owner)
    return
  end
  redis.call('ZADD', ready_key(j.owner), order(j), id)
  redis.call('EXPIRE', ready_key(j.owner), JOB_KEEP_S)
  redis.call('ZADD', OWNERS, 'NX', 0, j.owner)
  redis.call('EXPIRE', OWNERS, JOB_KEEP_S)
  rank(j.owner)
  wake(waiting)
end

-- Update the job's progress over all workers, at most twice a second unless `always`. Returns whether it did.
local function progress(id, always)
  local v = redis.call('HMGET', job_key(id), 'counted_s', 'mark_s', 'mark_frames', 'mark_fps', 'of_frames', 'state')
  local at_s = now()
  if not always and v[1] and at_s - tonumber(v[1]) < 0.5 then return false end
  local frames, segments, finished = sums(id)
  local fps, mark_s = tonumber(v[4] or 0), tonumber(v[2] or 0)
  if at_s - mark_s >= RATE_S then
    if mark_s > 0 then fps = math.max(0, frames - tonumber(v[3])) / (at_s - mark_s) end
    redis.call('HSET', job_key(id), 'mark_s', text(at_s), 'mark_frames', frames, 'mark_fps', text(fps))
  end
  local of_frames = tonumber(v[5] or 0)
  local left_s = fps > 0 and math.max(0, of_frames - frames) / fps or 0
  set(id, 'counted_s', text(at_s), 'sums_s', text(at_s), 'progress', string.format(
    '{"frames":%d,"of_frames":%d,"fps":%.2f,"left_s":%.1f,"segments":%d,"segments_done":%d}',
    frames, of_frames, fps, left_s, segments, finished))
  note_speed(id, v[6] == 'running' and fps or 0)
  return true
end

-- Queue a running task again, at the front.
local function give_back(id, name, t)
  t.state, t.worker, t.frames, t.late, t.leaving = 'todo', '', 0, nil, nil
  put(id, name, t)
  release(id, name)
  redis.call('LPUSH', todo_key(id), name)
  local j = find(id)
  if j.state == 'running' and not has_running(id) then set(id, 'state', 'queued') end
  offer(id)
  progress(id, true)
  keep(id)
end

-- The task that a worker runs: job, name and task; nil if it has none.
local function task_of(worker)
  local id, name = string.match(redis.call('GET', task_of_key(worker)) or '', '^(%S+) (%S+)$')
  local t = id and is_leased(id, name) and task(id, name)
  if not t or t.worker ~= worker or not find(id) then return nil end
  return id, name, t
end

-- Whether all segments are done. Counted again before a job without another task is told that one is missing.
local function all_segments_done(id)
  local _, segments, done = sums(id)
  if done < segments and redis.call('LLEN', todo_key(id)) == 0 and not has_running(id) then
    _, segments, done = count_sums(id)
  end
  return done == segments
end

local function finish(j, state, reason, detail)
  redis.call('DEL', todo_key(j.id))
  redis.call('ZREM', ready_key(j.owner), j.id)
  rank(j.owner)
  release_all(j.id)
  count_waiting(j.id, 0)
  note_speed(j.id, 0)
  set(j.id, 'state', state, 'reason', reason, 'detail', detail, 'ended_s', text(now()))
  redis.call('ZADD', ENDED, text(now()), j.id)
  if j.webhook ~= '' then
    redis.call('HSET', job_key(j.id), 'told', 0)
    redis.call('ZADD', HOOKS, text(now()), j.id)
  end
  keep(j.id)
end

-- Check a worker's ownership of a task: returns the job and the task, or else the reply to return.
local function claimed(id, name, worker, fence)
  local j = find(id)
  if not j then return nil, nil, { redis.call('EXISTS', removed_key(id)) == 1 and 'fenced' or 'gone' } end
  local t = task(id, name)
  if not holds(t, worker, fence) then return nil, nil, { 'fenced' } end
  if t.state == 'done' then return nil, nil, { 'ok', all(id) } end -- a repeat
  if FINAL[j.state] or t.state ~= 'run' then return nil, nil, { 'fenced' } end
  return j, t, nil
end
