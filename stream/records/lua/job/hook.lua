-- No ARGV. Returns {record, earlier attempts} of an ended job whose webhook is due, reserved for HOOK_S, or nil.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', HOOKS, '-inf', text(now()), 'LIMIT', 0, 100)) do
  local j = find(id)
  if j and FINAL[j.state] then
    redis.call('ZADD', HOOKS, text(now() + HOOK_S), id)
    return { all(id), redis.call('HINCRBY', job_key(id), 'told', 1) - 1 }
  end
  redis.call('ZREM', HOOKS, id)
end
return nil
