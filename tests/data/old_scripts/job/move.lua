-- ARGV: job, "pause", "resume", "cancel" or "retry"; for "retry" the owner's limits, as for submit.lua.
local j = find(ARGV[1])
if not j then return { 'gone' } end
local FROM = {
  pause = { queued = true, running = true },
  resume = { paused = true },
  cancel = { queued = true, running = true, paused = true },
  retry = { failed = true },
}
local repeated = (ARGV[2] == 'pause' and j.state == 'paused') or (ARGV[2] == 'cancel' and j.state == 'cancelled')
if repeated then return { 'ok', all(j.id) } end
if not FROM[ARGV[2]][j.state] then return { 'bad', j.state } end
local refused = ARGV[2] == 'retry' and over_quota(j.owner, ARGV[3], ARGV[4])
if refused then return refused end

local function retry() -- queue all unfinished tasks as new
  redis.call('ZREM', ENDED, j.id)
  redis.call('ZREM', HOOKS, j.id)
  redis.call('DEL', todo_key(j.id))
  local names = redis.call('HKEYS', tasks_key(j.id))
  table.sort(names)
  for _, name in ipairs(names) do
    if task(j.id, name).state ~= 'done' then
      put(j.id, name, new_task())
      redis.call('RPUSH', todo_key(j.id), name)
    end
  end
  set(j.id, 'state', 'queued', 'reason', '', 'detail', '', 'ended_s', '0.0', 'mark_s', '0')
end

if ARGV[2] == 'cancel' then
  finish(j, 'cancelled', '', '')
elseif ARGV[2] == 'pause' then
  set(j.id, 'state', 'paused')
elseif ARGV[2] == 'resume' then
  set(j.id, 'state', has_running(j.id) and 'running' or 'queued')
else
  retry()
end
if ARGV[2] ~= 'cancel' then
  offer(j.id)
  progress(j.id, true)
end
keep(j.id)
return { 'ok', all(j.id) }
