-- ARGV: session. The client stops waiting for an answer; returns one that came at the last moment, else nil.
local answer = redis.call('LPOP', PREFIX .. 'answer:' .. ARGV[1])
if answer then return answer end
local s = find(ARGV[1])
if s and not FINAL[s.state] then take_away(s, 'failed', s.state == 'offered' and NO_WORKER or NO_ANSWER) end
return nil
