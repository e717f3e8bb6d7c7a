-- No ARGV. {record, attempts so far} of an ended job whose owner is to be told now; nobody else gets it for HOOK_S.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', HOOKS, '-inf', text(now()), 'LIMIT', 0, 100)) do
  local j = find(id)
  if j and FINAL[j.state] then
    redis.call('ZADD', HOOKS, text(now() + HOOK_S), id)
    return { all(id), redis.call('HINCRBY', job_key(id), 'told', 1) - 1 }
  end
  redis.call('ZREM', HOOKS, id)
end
return nil
