-- Applies a commit once, however many copies of it arrive, and answers what was decided about it:
-- 0 when it is applied, n when the n-th expectation does not hold and nothing is changed.
--
-- KEYS  store, records, paths, log, commit
-- ARGV  store ID, "1" when a copy was sent before, log length, number of expectations, of puts, of removals,
--       then for each expectation: path, version or "" for absence;
--       for each put: path, version and value in one string; for each removal: path

local store, records, paths, log, commit = unpack(KEYS)
local store_id, sent_before, log_length = ARGV[1], ARGV[2] == '1', ARGV[3]
local expectations, puts, removals = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

-- Longer than a copy can be on its way: connections that cannot deliver it are given up long before, by the kernels too.
local REMEMBER_SECONDS = 3600
local VERSION_LENGTH = 36

if redis.call('GET', store) ~= store_id then
  return redis.error_reply('STOREREPLACED this is not the store that was opened')
end

local decided = redis.call('GET', commit)
if decided then
  return tonumber(decided)
end

local at = 7
for n = 1, expectations do
  local record = redis.call('HGET', records, ARGV[at])
  local version = record and string.sub(record, 1, VERSION_LENGTH) or ''
  if version ~= ARGV[at + 1] then
    -- The expectation may hold again when an earlier copy comes late, after its sender was told of the conflict.
    if sent_before then
      redis.call('SET', commit, n, 'EX', REMEMBER_SECONDS)
    end
    return n
  end
  at = at + 2
end

-- The first write below is refused when the server cannot take writes; after it, none is.
local changed = {}
for _ = 1, puts do
  redis.call('HSET', records, ARGV[at], ARGV[at + 1])
  redis.call('ZADD', paths, 0, ARGV[at])
  changed[#changed + 1] = ARGV[at]
  at = at + 2
end
for _ = 1, removals do
  redis.call('HDEL', records, ARGV[at])
  redis.call('ZREM', paths, ARGV[at])
  changed[#changed + 1] = ARGV[at]
  at = at + 1
end
if #changed > 0 then
  redis.call('XADD', log, 'MAXLEN', '=', log_length, '*', 'paths', table.concat(changed, '\n'))
  redis.call('SET', commit, 0, 'EX', REMEMBER_SECONDS)
end
return 0
