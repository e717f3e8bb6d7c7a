-- ARGV: session. Nobody waits for an answer any longer. One that came at the last moment is returned.
local answer = redis.call('LPOP', PREFIX .. 'answer:' .. ARGV[1])
if answer then return answer end
local s = find(ARGV[1])
if s and not FINAL[s.state] then take_away(s, 'failed', s.state == 'offered' and 'no_worker' or 'no_answer') end
return nil
