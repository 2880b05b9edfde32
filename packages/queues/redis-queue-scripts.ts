/**
 * What happens in Redis in one step, as Lua: nothing is ever in two places, or in none.
 *
 *     jobs     a Stream, with one consumer group: whatever is to be done or being done
 *     delayed  a sorted set by the time when it is due: "<unique> <tried> <text>"
 *     dead     a Stream: what was set aside
 *
 * An entry has its job's text, and how often that was tried before. A job that is put back, for whatever reason, becomes a new entry
 * under a new id, and the old one goes: so an id is delivered once and never again, and whoever comes late with the old one finds
 * nothing (`XACK` says 0). That is the fence.
 */
import type { Redis } from 'ioredis';
import { unavailable } from './redis-queue-connection.ts';

/** Redis does nothing else while it runs a script: so much of anything at a time, some 2 ms. */
export const MOST_AT_ONCE = 500;

const PRELUDE = `
  local jobs, delayed, dead, swept = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local function ready(text, tried) redis.call('XADD', jobs, '*', 'job', text, 'tried', tried) end
  local function later(delayMs, unique, text, tried)
    redis.call('ZADD', delayed, now + delayMs, unique .. ' ' .. tried .. ' ' .. text)
  end
  local function remove(id)
    local entry = redis.call('XRANGE', jobs, id, id)[1]
    redis.call('XACK', jobs, 'workers', id)
    redis.call('XDEL', jobs, id)
    if entry then return entry[2][2] or '', tonumber(entry[2][4]) or 0 end
  end
`;

/** ARGV: capacity, then for each caller how many jobs, their delay, and the jobs. @returns for each caller 1, or 0 if they do not fit. */
export const ENQUEUE = `${PRELUDE}
  local free = ARGV[1] - redis.call('XLEN', jobs) - redis.call('ZCARD', delayed)
  local answers, i = {}, 2
  while i <= #ARGV do
    local count, delayMs = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
    local fits = count <= free
    if fits then
      free = free - count
      for j = i + 2, i + 1 + count do
        if delayMs > 0 then later(delayMs, time[1] .. '.' .. time[2] .. '.' .. j, ARGV[j], 0)
        else redis.call('XADD', jobs, '*', 'job', ARGV[j]) end
      end
    end
    answers[#answers + 1] = fits and 1 or 0
    i = i + 2 + count
  end
  return answers
`;

/**
 * Puts back what is due: delayed jobs, and those whose lease is over. A consumer's name begins with its lease, and Redis knows since when
 * each entry has been in hand. Before that it makes the Stream and its group: somebody may have emptied this Redis.
 * ARGV: no more often than every so many milliseconds, and how many at most. @returns how many.
 */
export const SWEEP = `${PRELUDE}
  redis.pcall('XGROUP', 'CREATE', jobs, 'workers', '0', 'MKSTREAM')
  if not redis.call('SET', swept, 1, 'NX', 'PX', ARGV[1]) then return 0 end
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, ARGV[2])
  local count = #due
  for _, member in ipairs(due) do
    local tried, text = string.match(member, '^%S+ (%d+) (.*)$')
    ready(text, tried)
    redis.call('ZREM', delayed, member)
  end
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', jobs, 'workers')) do
    local name, pending, idle = consumer[2], consumer[4], consumer[6]
    local leaseMs = string.match(name, '^%d+')
    if pending > 0 then
      for _, held in ipairs(redis.call('XPENDING', jobs, 'workers', 'IDLE', leaseMs, '-', '+', ARGV[2], name)) do
        local text, tried = remove(held[1])
        if text then ready(text, tried + 1) end
        count = count + 1
      end
    elseif idle > 3600000 then
      redis.call('XGROUP', 'DELCONSUMER', jobs, 'workers', name)
    end
  end
  if count >= tonumber(ARGV[2]) then redis.call('DEL', swept) end
  return count
`;

/**
 * ARGV: who takes, and how many. @returns what is there, each as one text, "<id> <tried> <job>": an entry of a Stream is three arrays and
 * three texts, which take a client longer to read than all the rest of its work on it.
 */
export const TAKE = `
  local answer = redis.call('XREADGROUP', 'GROUP', 'workers', ARGV[1], 'COUNT', ARGV[2], 'STREAMS', KEYS[1], '>')
  local texts = {}
  for i, entry in ipairs(answer and answer[1][2] or {}) do
    texts[i] = entry[1] .. ' ' .. (entry[2][4] or '0') .. ' ' .. (entry[2][2] or '')
  end
  return texts
`;

/** ARGV: ids of entries. @returns those that were not in hand any more. */
export const DONE = `
  if redis.call('XACK', KEYS[1], 'workers', unpack(ARGV)) == #ARGV then
    redis.call('XDEL', KEYS[1], unpack(ARGV))
    return {}
  end
  local lost = {}
  for _, id in ipairs(ARGV) do
    if redis.call('XDEL', KEYS[1], id) == 0 then lost[#lost + 1] = id end
  end
  return lost
`;

/** ARGV: id, as, delay and reason of each. @returns those that were not in hand any more. */
export const PUT_BACK = `${PRELUDE}
  local lost = {}
  for i = 1, #ARGV, 4 do
    local id, as, delayMs, reason = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
    local text, tried = remove(id)
    if not text then lost[#lost + 1] = id
    elseif as == 'released' then ready(text, tried)
    elseif as == 'dead' then redis.call('XADD', dead, '*', 'job', text, 'attempts', tried + 1, 'reason', reason)
    elseif delayMs > 0 then later(delayMs, id, text, tried + 1)
    else ready(text, tried + 1) end
  end
  return lost
`;

/** ARGV: ids of dead jobs. @returns how many were there. */
export const REDRIVE = `${PRELUDE}
  local count = 0
  for _, id in ipairs(ARGV) do
    local entry = redis.call('XRANGE', dead, id, id)[1]
    if entry then
      ready(entry[2][2], 0)
      count = count + redis.call('XDEL', dead, id)
    end
  end
  return count
`;

/** @returns entries, those of them in hand, delayed, dead, and the age of the oldest that is in nobody's hand. */
export const DEPTH = `${PRELUDE}
  local group = redis.call('XINFO', 'GROUPS', jobs)[1]
  local delivered
  for i = 1, #group, 2 do if group[i] == 'last-delivered-id' then delivered = group[i + 1] end end
  local oldest = redis.call('XRANGE', jobs, '(' .. delivered, '+', 'COUNT', 1)[1]
  local ageMs = oldest and math.max(0, now - tonumber(string.match(oldest[1], '^%d+')))
  local pending = redis.call('XPENDING', jobs, 'workers')[1]
  return { redis.call('XLEN', jobs), pending, redis.call('ZCARD', delayed), redis.call('XLEN', dead), ageMs }
`;

/** Runs one of them. @throws {QueueError} `unavailable`: it may have been done or not. */
export async function run(redis: Redis, script: string, keys: string[], args: (string | number)[] = []) {
  try {
    return await redis.eval(script, keys.length, ...keys, ...args);
  } catch (error) {
    throw unavailable(error);
  }
}
