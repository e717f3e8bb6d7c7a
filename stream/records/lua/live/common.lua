-- Shared by the scripts of live video.
local SESSIONS, DUE, OFFERS = PREFIX .. 'sessions', PREFIX .. 'due', PREFIX .. 'offers'
local WORKERS = PREFIX .. 'workers'
local FINAL = { ended = true, failed = true, lost = true }

local function session_key(id) return PREFIX .. 'session:' .. id end

local function name_key(name) return PREFIX .. 'name:' .. name end

-- The fields of a session that scripts need, or nil if it does not exist.
local function find(id)
  local v = redis.call('HMGET', session_key(id), 'state', 'worker', 'fence', 'kind', 'name', 'owner', 'entry', 'late',
                       'format', 'options')
  if not v[1] then return nil end
  return { id = id, state = v[1], worker = v[2], fence = v[3], kind = v[4], name = v[5], owner = v[6],
           entry = v[7], late = v[8], format = v[9], options = v[10] }
end

local function all(id) return redis.call('HGETALL', session_key(id)) end

local function set(id, ...)
  redis.call('HSET', session_key(id), 'updated_s', text(now()), ...)
end

-- Extend the lifetime of a record to KEEP_S from now. due_s: when its lease or offer expires; nil for neither.
local function keep(id, due_s)
  redis.call('HSET', session_key(id), 'kept_s', text(now()))
  redis.call('EXPIRE', session_key(id), KEEP_S)
  redis.call('ZADD', SESSIONS, text(now() + KEEP_S), id)
  redis.call('EXPIRE', SESSIONS, KEEP_S)
  if due_s then
    redis.call('ZADD', DUE, text(due_s), id)
    redis.call('EXPIRE', DUE, KEEP_S)
  else
    redis.call('ZREM', DUE, id)
  end
end

local function holds(s, worker, fence) return s.worker == worker and s.fence == fence end

-- Remove an offer from the stream, because it was taken or has ended.
local function drop_offer(s)
  if s.entry and s.entry ~= '' then
    redis.pcall('XACK', OFFERS, GROUP, s.entry)
    redis.call('XDEL', OFFERS, s.entry)
  end
end

local function finish(s, state, reason)
  drop_offer(s)
  set(s.id, 'state', state, 'reason', reason)
  keep(s.id, nil)
  if s.name ~= '' and redis.call('GET', name_key(s.name)) == s.id then redis.call('DEL', name_key(s.name)) end
end

-- As `finish`, but not by the session's worker, whose calls are refused (fenced) from now on.
local function take_away(s, state, reason)
  redis.call('HINCRBY', session_key(s.id), 'fence', 1)
  finish(s, state, reason)
end

local function send(worker, command)
  local key = PREFIX .. 'commands:' .. worker
  redis.call('XADD', key, 'MAXLEN', '~', 1000, '*', 'command', command)
  redis.call('EXPIRE', key, QUEUE_S)
end

-- The session that holds a stream name, unless it has ended.
local function holder(name)
  local id = redis.call('GET', name_key(name))
  local s = id and find(id)
  if s and not FINAL[s.state] then return s end
  return nil
end

local function claim_name(s)
  redis.call('SET', name_key(s.name), s.id, 'EX', KEEP_S)
end

-- HSET with all pairs of `fields`, a flat list.
local function write(id, fields)
  redis.call('HSET', session_key(id), unpack(fields))
end
