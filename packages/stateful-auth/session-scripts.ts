/**
 * What happens in Redis in one step, as Lua: a session and the lists that it stands in are never apart.
 *
 *     <prefix>session:<handle>   a hash: `data` (JSON) and `user`; its time to live is the idle time that is left
 *     <prefix>user:<user>        a sorted set: the handles of a user's sessions by when each will have been idle for too long
 *     <prefix>all                the same of everybody, to be counted
 *
 * What has run out leaves the sets with the next write to them, and a set that nobody writes to runs out itself. A script makes
 * names of keys out of what it reads, which a Redis Cluster does not allow.
 */
import type { Redis } from 'ioredis';

const NOW = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

// #region write
/** KEYS: the session. ARGV: prefix, handle, create | update | touch, time to live, the longest there is, data, user. */
const WRITE = `${NOW}
  local prefix, handle, mode, ttl, longest, data, user = unpack(ARGV)
  local was = redis.call('HGET', KEYS[1], 'user')
  -- What was read earlier may be written or touched, but not brought back: somebody has logged out meanwhile.
  if not was and mode ~= 'create' then return 0 end
  if was and was ~= user then redis.call('ZREM', prefix .. 'user:' .. was, handle) end
  if mode ~= 'touch' then redis.call('HSET', KEYS[1], 'data', data, 'user', user) end
  redis.call('PEXPIRE', KEYS[1], ttl)
  for _, set in ipairs({ prefix .. 'all', prefix .. 'user:' .. user }) do
    redis.call('ZREMRANGEBYSCORE', set, '-inf', now)
    redis.call('ZADD', set, now + ttl, handle)
    if redis.call('PTTL', set) < tonumber(longest) then redis.call('PEXPIRE', set, longest) end
  end
  return 1
`;
// #endregion

/** KEYS: the session. ARGV: prefix, handle. @returns whether there was one. */
const DESTROY = `
  local prefix, handle = unpack(ARGV)
  local user = redis.call('HGET', KEYS[1], 'user')
  redis.call('ZREM', prefix .. 'all', handle)
  if user then redis.call('ZREM', prefix .. 'user:' .. user, handle) end
  return redis.call('DEL', KEYS[1])
`;

/** KEYS: the set of a user. ARGV: prefix. @returns how many sessions there were. */
const DESTROY_ALL = `
  local ended = 0
  for _, handle in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    redis.call('ZREM', ARGV[1] .. 'all', handle)
    ended = ended + redis.call('DEL', ARGV[1] .. 'session:' .. handle)
  end
  redis.call('DEL', KEYS[1])
  return ended
`;

/** KEYS: the set of a user. ARGV: prefix. @returns handle and data of each session, one after the other. */
const LIST = `${NOW}
  local found = {}
  for _, handle in ipairs(redis.call('ZRANGE', KEYS[1], now, '+inf', 'BYSCORE')) do
    local data = redis.call('HGET', ARGV[1] .. 'session:' .. handle, 'data')
    if data then
      found[#found + 1] = handle
      found[#found + 1] = data
    end
  end
  return found
`;

/** KEYS: the set of all. @returns how many of them are not idle for too long. */
const COUNT = `${NOW}
  return redis.call('ZCOUNT', KEYS[1], now, '+inf')
`;

/** The scripts as methods: ioredis sends a script's text once, and then its digest, also to a Redis that has forgotten it. */
export interface SessionScripts {
  writeSession(
    key: string,
    prefix: string,
    handle: string,
    mode: string,
    ttlMs: number,
    longestMs: number,
    data: string,
    user: string,
  ): Promise<0 | 1>;
  destroySession(key: string, prefix: string, handle: string): Promise<0 | 1>;
  destroySessionsOf(key: string, prefix: string): Promise<number>;
  listSessionsOf(key: string, prefix: string): Promise<string[]>;
  countSessions(key: string): Promise<number>;
}

/** Gives a connection the scripts. */
export function withScripts(redis: Redis): Redis & SessionScripts {
  redis.defineCommand('writeSession', { numberOfKeys: 1, lua: WRITE });
  redis.defineCommand('destroySession', { numberOfKeys: 1, lua: DESTROY });
  redis.defineCommand('destroySessionsOf', { numberOfKeys: 1, lua: DESTROY_ALL });
  redis.defineCommand('listSessionsOf', { numberOfKeys: 1, lua: LIST });
  redis.defineCommand('countSessions', { numberOfKeys: 1, lua: COUNT });
  return redis as Redis & SessionScripts;
}
