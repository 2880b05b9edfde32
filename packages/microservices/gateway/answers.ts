/**
 * What becomes of a service's answer on its way to the customer. What the service has against the request (4xx) is the customer's to
 * mend, and is passed on as it is. What went wrong between us and the service is not: that is a 502, 503 or 504 (chassis).
 */
import type { Response } from 'express';
import type { Answer } from '../chassis/answer.ts';
import { DependencyError } from '../chassis/dependency-error.ts';

/** What a customer may see of an answer's headers. */
const PASSED_ON = [
  'content-type',
  'retry-after',
  'cache-control',
  'idempotent-replayed',
  'ratelimit',
  'ratelimit-policy',
];

/** Passes an answer on. @throws {DependencyError} when it says that *we* may not ask: no customer can do anything about that. */
export function passOn(response: Response, { status, headers, body }: Answer, dependency: string): void {
  if (status === 401 || status === 403) throw new DependencyError('refused', dependency, { status });
  for (const name of PASSED_ON) if (headers[name] !== undefined) response.set(name, headers[name]);
  response.status(status);
  if (body === undefined) response.end();
  else response.send(typeof body === 'string' ? body : JSON.stringify(body)); // not `json`: it would be another type
}

/** Reads a body by its contract. @throws {DependencyError} `protocol`, which is the service's fault, and not the customer's. */
export function understand<T>(read: (body: unknown) => T, { body }: Answer, dependency: string): T {
  try {
    return read(body);
  } catch (cause) {
    throw new DependencyError('protocol', dependency, { cause });
  }
}
