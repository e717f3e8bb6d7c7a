-- ARGV: worker. Offers delivered to it and not taken remain for other workers to claim.
redis.call('DEL', PREFIX .. 'worker:' .. ARGV[1], PREFIX .. 'whole-worker:' .. ARGV[1], PREFIX .. 'commands:' .. ARGV[1])
redis.call('ZREM', WORKERS, ARGV[1])
local pending = redis.pcall('XPENDING', OFFERS, GROUP, '-', '+', 1, ARGV[1])
if not pending.err and #pending == 0 then redis.call('XGROUP', 'DELCONSUMER', OFFERS, GROUP, ARGV[1]) end
