/**
 * How many requests a client may make. All sidecars of an app count together, in Redis (shared-counters.ts), and it is said what
 * happens when Redis is away, because otherwise it just happens. How the counting is done is the engine's business.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { ipKeyGenerator } from 'express-rate-limit';
import type { SharedCounters } from './shared-counters.ts';

export interface RateLimit {
  /** Requests per client and window. */
  max: number;
  /** A fixed window: at its turn a client may send `max` twice in a short time. That is what it costs to be this simple. */
  windowMs: number;
  whenRedisIsAway: 'local' | 'open';
  /** Put before every key. */
  prefix: string;
}

export interface LimiterOptions extends RateLimit {
  counters: SharedCounters;
}

/** Whom a request counts for: an address, or the /56 of an IPv6 one, of which a customer has 256 /64s to hop about in. */
export function limitKey(client: string): string {
  return ipKeyGenerator(client, 56);
}

/** 429. Retry-After and the RateLimit fields are set by who counts. */
export function tooManyRequests(): HttpProblem {
  return new HttpProblem(429, { detail: 'too many requests: Retry-After says when to go on' });
}
