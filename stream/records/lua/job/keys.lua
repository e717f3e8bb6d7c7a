-- The keys of file jobs, which `stream/records/redis_keys.py` documents. Shared by the scripts of this folder.
local JOBS, LEASES, OWNERS = PREFIX .. 'jobs', PREFIX .. 'leases', PREFIX .. 'owners'
local ENDED, HOOKS, WAKE = PREFIX .. 'ended', PREFIX .. 'hooks', PREFIX .. 'wake'
local WAITING, SPEEDS = PREFIX .. 'waiting', PREFIX .. 'speeds'
local RUNNING, BUSY, TURNS = PREFIX .. 'running', PREFIX .. 'busy', PREFIX .. 'turns'
local STATE_OF, STATES = PREFIX .. 'state-of', PREFIX .. 'states'
local REPAIR, REPAIRED = PREFIX .. 'repair', PREFIX .. 'repaired'
local FINAL = { done = true, failed = true, cancelled = true }

local function job_key(id) return PREFIX .. 'job:' .. id end
local function tasks_key(id) return PREFIX .. 'tasks:' .. id end
local function todo_key(id) return PREFIX .. 'todo:' .. id end
local function plan_key(id) return PREFIX .. 'plan:' .. id end
local function removed_key(id) return PREFIX .. 'removed:' .. id end
local function ready_key(owner) return PREFIX .. 'ready:' .. owner end
local function of_key(owner) return PREFIX .. 'jobs-of:' .. owner end
local function listed_key(owner) return PREFIX .. 'listed:' .. owner end
local function unfinished_key(owner) return PREFIX .. 'unfinished:' .. owner end
local function stored_key(owner) return PREFIX .. 'stored:' .. owner end
local function changed_key(owner) return PREFIX .. 'changed:' .. owner end
local function task_of_key(worker) return PREFIX .. 'task-of:' .. worker end
