import { createHash } from 'node:crypto'

/**
 * The whole of what rate limits do in Redis, in one call: what came back since the last one, slots that begin, go
 * on or end, and then one request that takes of every limit that it names, or of none. `call.ts` writes its
 * arguments and reads its answer.
 *
 * A bucket is a string, `limit used drained at span current earlier`: the fields of `Bucket` in `limits/bucket.ts`,
 * whose arithmetic this is, number for number (Lua's numbers are JavaScript's), and what processes have taken in
 * advance in the two seconds number `span` and in the two before. That part may be used a second later than it was
 * taken, so it does not drain meanwhile; else a stretch of time would see what refilled in that second on top of the
 * limit. Buckets and slots expire when nothing would be lost with them.
 *
 * Slots are a sorted set of requests by the moment until which their process answers for them.
 */
export const limitsScript = `
local nextArgument, nextKey = 0, 0
local function argument()
  nextArgument = nextArgument + 1
  return ARGV[nextArgument]
end
local function number()
  return tonumber(argument())
end
local function key()
  nextKey = nextKey + 1
  return KEYS[nextKey]
end
local function text(value)
  return string.format('%.0f', value)
end

local now = number()
if now < 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local leaseMs = number()
local longest = 9007199254740992
local spanMs = 2000

local buckets, written = {}, {}
local function touch(bucket)
  if not bucket.touched then written[#written + 1] = bucket end
  bucket.touched = true
end

local function empty(bucket)
  return bucket.used == 0 and bucket.current + bucket.earlier == 0
end

local function drainUntil(bucket, moment)
  local elapsed = moment - bucket.at
  if elapsed <= 0 then return end
  bucket.at = moment
  local floor = bucket.current + bucket.earlier
  if bucket.used <= floor then return end
  local periods = math.floor(elapsed / bucket.period)
  local rest = elapsed - periods * bucket.period
  local parts = rest * (bucket.limit % bucket.period) + bucket.drained
  local units = math.floor(parts / bucket.period)
  bucket.used = bucket.used
    - (periods * bucket.limit + rest * math.floor(bucket.limit / bucket.period) + units)
  bucket.drained = parts - units * bucket.period
  if bucket.used <= floor then
    bucket.used = floor
    bucket.drained = 0
  end
end

local function drain(bucket)
  local span = math.floor(now / spanMs)
  if bucket.at > now then
    -- The clock was set back: go on from there, or nothing would drain until it has caught up.
    touch(bucket)
    bucket.at = now
    bucket.span = span
  end
  while bucket.current + bucket.earlier > 0 and bucket.span < span do
    drainUntil(bucket, (bucket.span + 1) * spanMs)
    bucket.span = bucket.span + 1
    bucket.earlier = bucket.current
    bucket.current = 0
  end
  bucket.span = span
  drainUntil(bucket, now)
end

local format = '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$'
local function bucketOf(name, period, limit)
  local bucket = buckets[name]
  if bucket then return bucket end
  bucket = { name = name, period = period }
  local stored = redis.call('GET', name)
  if stored then
    local most, used, drained, at, span, current, earlier = string.match(stored, format)
    bucket.limit, bucket.used, bucket.drained = tonumber(most), tonumber(used), tonumber(drained)
    bucket.at, bucket.span = tonumber(at), tonumber(span)
    bucket.current, bucket.earlier = tonumber(current), tonumber(earlier)
    bucket.stored = true
    drain(bucket)
  else
    bucket.limit, bucket.used, bucket.drained, bucket.at = limit, 0, 0, now
    bucket.span, bucket.current, bucket.earlier = math.floor(now / spanMs), 0, 0
  end
  buckets[name] = bucket
  return bucket
end

local function fullAfter(bucket)
  return math.min(longest, math.ceil((bucket.used * bucket.period - bucket.drained) / bucket.limit))
end

local function write()
  for _, bucket in ipairs(written) do
    if not empty(bucket) then
      local expiry = now + math.max(1, fullAfter(bucket))
      if bucket.current + bucket.earlier > 0 then expiry = expiry + 2 * spanMs end
      redis.call('SET', bucket.name, string.format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f', bucket.limit,
        bucket.used, bucket.drained, bucket.at, bucket.span, bucket.current, bucket.earlier),
        'PXAT', text(expiry))
    elseif bucket.stored then
      redis.call('DEL', bucket.name)
    end
  end
end

-- What came back of an amount that was taken when the limit was limitThen; below 0: what is to be taken on top.
-- Of a chunk that was taken in advance in 'span' nobody has anything any more, but for what comes back of it. That is
-- too late when it has begun to drain: it would be counted twice.
local function correct(bucket, amount, limitThen, chunk, span)
  touch(bucket)
  if chunk > 0 then
    if span == bucket.span then
      bucket.current = math.max(0, bucket.current - chunk)
    elseif span == bucket.span - 1 then
      bucket.earlier = math.max(0, bucket.earlier - chunk)
    else
      amount = 0
    end
  end
  if amount < 0 then
    bucket.used = bucket.used - amount
    return
  end
  if limitThen ~= bucket.limit then amount = math.floor((amount / limitThen) * bucket.limit) end
  bucket.used = bucket.used - amount
  if bucket.used <= 0 then
    bucket.used = 0
    bucket.drained = 0
  end
end

local function change(bucket, limit)
  if limit == bucket.limit then return end
  touch(bucket)
  local used = ((bucket.used - bucket.drained / bucket.period) / bucket.limit) * limit
  bucket.used = math.ceil(used)
  bucket.drained = math.min(math.floor((bucket.used - used) * bucket.period), bucket.period - 1)
  bucket.current = math.ceil(bucket.current / bucket.limit * limit)
  bucket.earlier = math.ceil(bucket.earlier / bucket.limit * limit)
  bucket.limit = limit
end

local function drainedWithin(bucket, elapsed)
  local periods = math.floor(elapsed / bucket.period)
  local rest = elapsed - periods * bucket.period
  local units = math.floor((rest * (bucket.limit % bucket.period) + bucket.drained) / bucket.period)
  return periods * bucket.limit + rest * math.floor(bucket.limit / bucket.period) + units
end

local function wait(bucket, cost)
  local missing = bucket.used - bucket.limit + math.min(cost, bucket.limit)
  if missing <= 0 then return 0 end
  local time = math.ceil((missing * bucket.period - bucket.drained) / bucket.limit)
  -- The product may be beyond 2^53, and the quotient then a millisecond short.
  if drainedWithin(bucket, time) < missing then time = time + 1 end
  return math.min(longest, time)
end

local function keepSlot(name, id)
  redis.call('ZADD', name, text(now + leaseMs), id)
  redis.call('PEXPIREAT', name, text(now + leaseMs))
end

-- Of before the clock was set back: nobody may answer for a request for longer than a lease.
local function shortenSlots(name)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', name, '(' .. text(now + leaseMs), '+inf')) do
    keepSlot(name, id)
  end
end

local function countSlots(name)
  redis.call('ZREMRANGEBYSCORE', name, '-inf', text(now))
  return redis.call('ZCARD', name)
end

for _ = 1, number() do
  local name, period, amount, limitThen = key(), number(), number(), number()
  correct(bucketOf(name, period, limitThen), amount, limitThen, number(), number())
end

for _ = 1, number() do
  local name = key()
  for _ = 1, number() do redis.call('ZREM', name, argument()) end
  local held = number()
  for _ = 1, held do keepSlot(name, argument()) end
  if held > 0 then shortenSlots(name) end
end

local limits = {}
for index = 1, number() do
  limits[index] = { name = key(), period = number(), limit = number(), cost = number() }
end
if #limits == 0 then
  write()
  return {}
end

local request, ahead, spared = argument(), number(), number()
local refusing, longestWait = 0, 0
for index, each in ipairs(limits) do
  local time
  if each.period == 0 then
    each.taken = countSlots(each.name)
    time = each.taken < each.limit and 0 or each.cost
  else
    each.bucket = bucketOf(each.name, each.period, each.limit)
    change(each.bucket, each.limit)
    time = wait(each.bucket, each.cost)
  end
  if time > longestWait then refusing, longestWait = index, time end
end

local granted = refusing == 0
if granted then
  for _, each in ipairs(limits) do
    if each.period == 0 then
      keepSlot(each.name, request)
      each.taken = each.taken + 1
    else
      touch(each.bucket)
      each.bucket.used = each.bucket.used + each.cost
      if each.cost > 0 then
        local room = math.floor((each.limit - each.bucket.used) / (spared * each.cost))
        ahead = math.max(0, math.min(ahead, room))
      end
    end
  end
  for _, each in ipairs(limits) do
    if ahead > 0 and each.period > 0 then
      each.bucket.used = each.bucket.used + ahead * each.cost
      each.bucket.current = each.bucket.current + ahead * each.cost
    end
  end
end
write()

local answer = { granted and 1 or 0, refusing, longestWait, granted and ahead or 0, math.floor(now / spanMs) }
for _, each in ipairs(limits) do
  if each.period == 0 then
    answer[#answer + 1] = math.max(0, each.limit - each.taken)
    answer[#answer + 1] = -1
  else
    answer[#answer + 1] = math.max(0, each.limit - each.bucket.used)
    answer[#answer + 1] = fullAfter(each.bucket)
  end
end
return answer
`

/** The name under which Redis keeps the script. */
export const limitsScriptSha = createHash('sha1').update(limitsScript).digest('hex')
