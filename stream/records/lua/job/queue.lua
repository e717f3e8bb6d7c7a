-- ARGV: the number of waiting jobs to read at most, the same number of each owner. Returns JSON: {owners: [{running, jobs:
-- [job …]} …], running: [{id, task, owner, …job} …]}. Owners are in the order in which they are served, and owner is an
-- index from 1. Jobs are in the order in which they are taken. Empty lists are left out, because cjson makes them objects.
local names = { 'media', 'progress', 'of_frames', 'start_s', 'end_s', 'listed' }

local function job(id)
  local v = redis.call('HMGET', job_key(id), unpack(names))
  local found = { id = id, tasks = redis.call('LLEN', todo_key(id)) }
  for i, name in ipairs(names) do found[name] = v[i] or nil end
  return found
end

-- All running tasks, as a list of {id = job, name = task}.
local function leases()
  local found = {}
  for _, member in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    local id, name = string.match(member, '^(%S+) (%S+)$')
    found[#found + 1] = { id = id, name = name }
  end
  return found
end

local owners, index = {}, {}
local function add(owner)
  if index[owner] then return end
  owners[#owners + 1] = { name = owner, running = 0 }
  index[owner] = #owners
end
for _, owner in ipairs(redis.call('ZRANGE', OWNERS, 0, -1)) do add(owner) end

local running = {}
for _, lease in ipairs(leases()) do
  local j = find(lease.id)
  if j then
    add(j.owner)
    owners[index[j.owner]].running = owners[index[j.owner]].running + 1
    local entry = job(lease.id)
    entry.task, entry.owner = lease.name, index[j.owner]
    running[#running + 1] = entry
  end
end

local each = math.max(1, math.floor(tonumber(ARGV[1]) / math.max(1, #owners)))
for _, owner in ipairs(owners) do
  local jobs = {}
  for _, id in ipairs(redis.call('ZRANGE', ready_key(owner.name), 0, each - 1)) do
    if redis.call('EXISTS', job_key(id)) == 1 then jobs[#jobs + 1] = job(id) end
  end
  owner.name = nil -- nothing of one user is told to another one
  owner.jobs = #jobs > 0 and jobs or nil
end
return cjson.encode({ owners = #owners > 0 and owners or nil, running = #running > 0 and running or nil })
