/**
 * The limiter of the cheap engine. What costs is not Redis but asking it: so the requests of a client that wait at the same time
 * are counted by one command, and the next command waits for the answer to the last. The busier it is, the more share one.
 *
 * The count is exact, over all sidecars: nobody passes before being counted. Same keys and fields as express-rate-limit's.
 */
import type { ClientRateLimitInfo } from 'express-rate-limit';
import type { Redis } from 'ioredis';
import { exchangeOf, type Power } from './exchange.ts';
import { type LimiterOptions, limitKey, tooManyRequests } from './rate-limit.ts';

/** Counts each request of a client, and answers 429 when there were more than `max` in a window. */
export function batchingLimiter({ counters, max, windowMs, prefix }: LimiterOptions): Power {
  const seconds = Math.ceil(windowMs / 1_000);
  const policy = `"per-client"; q=${max}; w=${seconds}`;
  const count = countTogether(counters, prefix, windowMs);
  return (_request, response, next) => {
    const { client, fields } = exchangeOf(response);
    const pass = ({ totalHits, resetTime }: ClientRateLimitInfo) => {
      const resetS = resetTime ? Math.max(0, Math.ceil((resetTime.getTime() - Date.now()) / 1_000)) : seconds;
      // [draft-ietf-httpapi-ratelimit-headers-08 §2, §3]
      fields.push('RateLimit-Policy', policy);
      fields.push('RateLimit', `"per-client"; r=${Math.max(0, max - totalHits)}; t=${resetS}`);
      if (totalHits <= max) return next();
      fields.push('Retry-After', String(resetS));
      next(tooManyRequests());
    };
    // The second: Redis is away, and the policy is that nobody is counted.
    count(limitKey(client)).then(pass, () => next());
  };
}

// #region batch
/** As `RedisStore` of rate-limit-redis counts, and `n` at a time: a window begins with the first request of a client. */
const COUNT = `
  local leftMs = redis.call('PTTL', KEYS[1])
  if leftMs <= 0 then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return { tonumber(ARGV[1]), tonumber(ARGV[2]) }
  end
  return { redis.call('INCRBY', KEYS[1], ARGV[1]), leftMs }`;

type Waiting = PromiseWithResolvers<ClientRateLimitInfo>;

/** A function that counts one request of a client, together with all others that are waiting. */
function countTogether(counters: LimiterOptions['counters'], prefix: string, windowMs: number) {
  let waiting = new Map<string, Waiting[]>();
  let isAsking = false;

  return (key: string): Promise<ClientRateLimitInfo> => {
    const request: Waiting = Promise.withResolvers();
    const others = waiting.get(key);
    if (others) others.push(request);
    else waiting.set(key, [request]);
    if (!isAsking) {
      isAsking = true;
      setImmediate(() => void ask()); // when all that has come in this pass of the event loop has been read
    }
    return request.promise;
  };

  async function ask(): Promise<void> {
    while (waiting.size > 0) {
      const batch = waiting;
      waiting = new Map();
      await Promise.all([...batch].map(([key, requests]) => askFor(key, requests)));
    }
    isAsking = false;
  }

  async function askFor(key: string, requests: readonly Waiting[]): Promise<void> {
    const together = async (redis: Redis) => {
      const [total, leftMs] = (await redis.eval(COUNT, 1, prefix + key, requests.length, windowMs)) as [number, number];
      const resetTime = new Date(Date.now() + leftMs);
      return requests.map((_, n) => ({ totalHits: total - requests.length + 1 + n, resetTime }));
    };
    const alone = () => Promise.all(requests.map(() => counters.incrementAlone(key)));
    try {
      const counts = await counters.count(together, alone);
      for (const [n, { resolve }] of requests.entries()) resolve(counts[n]!);
    } catch (error) {
      for (const { reject } of requests) reject(error);
    }
  }
}
// #endregion
