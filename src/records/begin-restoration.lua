-- Takes an empty store, or one that another restoration left unfinished, for a restoration, and answers 1; answers 0, and
-- changes nothing, when the store has records.
--
-- KEYS  store, records, paths, log
-- ARGV  what marks are known by, the mark of this restoration

local store, records, paths, log = unpack(KEYS)
local known_by, mark = ARGV[1], ARGV[2]

local unfinished = string.sub(redis.call('GET', store) or '', 1, #known_by) == known_by
if not unfinished and redis.call('EXISTS', records, paths) > 0 then
  return 0
end
redis.call('UNLINK', records, paths, log)
redis.call('SET', store, mark)
return 1
