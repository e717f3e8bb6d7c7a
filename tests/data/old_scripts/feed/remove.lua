-- ARGV: feed.
local f = find(ARGV[1])
if not f then return { 'gone' } end
redis.call('DEL', feed_key(f.id), secrets_key(f.id))
redis.call('ZREM', LEASED, f.id)
redis.call('ZREM', WAITING_FEEDS, f.id)
redis.call('ZREM', of_key(f.owner), f.id)
redis.call('HDEL', names_key(f.owner), f.name)
redis.call('SET', removed_key(f.id), '', 'EX', REMOVED_S)
return { 'ok' }
