/**
 * The limiter of the cheap engine: the same counters in Redis as express-rate-limit's, and the same fields, without its options,
 * its validations and its promises around promises. Every request is counted before it passes, so the limit is exact over all
 * sidecars; the round trip is shared, because ioredis sends what one pass of the event loop asks for in one write.
 */
import { exchangeOf, type Power } from './exchange.ts';
import { type LimiterOptions, limitKey, tooManyRequests } from './rate-limit.ts';

/** Counts each request of a client, and answers 429 when there were more than `max` in a window. */
export function pipelinedLimiter({ counters, max, windowMs }: LimiterOptions): Power {
  const seconds = Math.ceil(windowMs / 1_000);
  const name = '"per-client"';
  const policy = `${name}; q=${max}; w=${seconds}`;
  return (_request, response, next) => {
    counters
      .increment(limitKey(exchangeOf(response).client))
      .then(({ totalHits, resetTime }) => {
        const resetS = resetTime ? Math.max(0, Math.ceil((resetTime.getTime() - Date.now()) / 1_000)) : seconds;
        // [draft-ietf-httpapi-ratelimit-headers-08 §2, §3]
        response.setHeader('RateLimit-Policy', policy);
        response.setHeader('RateLimit', `${name}; r=${Math.max(0, max - totalHits)}; t=${resetS}`);
        if (totalHits <= max) return next();
        response.setHeader('Retry-After', String(resetS));
        next(tooManyRequests());
      })
      // Redis is away, and the policy is that nobody is counted.
      .catch(() => next());
  };
}
