/**
 * A bound on the polls of one client, for the one that does not do as it is asked.
 * By address, because there are no users here; everybody behind one NAT shares it, so it is generous.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';

/** 429 beyond `perMinute` polls of one address [RFC 6585 §4]; 0 for no limit. */
export function limitPolls(perMinute: number, onRefused: () => void): RequestHandler {
  if (perMinute === 0) return (_request, _response, next) => next();
  return rateLimit({
    windowMs: 60_000,
    limit: perMinute,
    // The headers that tell what is left would cost more than a 304.
    legacyHeaders: false,
    standardHeaders: false,
    handler(request) {
      onRefused();
      const { resetTime } = (request as unknown as { rateLimit: { resetTime: Date } }).rateLimit;
      const seconds = Math.max(1, Math.ceil((resetTime.getTime() - Date.now()) / 1_000));
      throw new HttpProblem(429, {
        detail: `more than ${perMinute} polls in a minute`,
        headers: { 'Retry-After': String(seconds) },
      });
    },
  });
}
