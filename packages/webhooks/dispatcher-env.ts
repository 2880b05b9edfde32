/** How a dispatcher is set up by the environment: read in dispatcher.ts, and in provider.ts, which brings one of its own. */
import { ConfigError, envInteger } from '@patterns/kit/env';

/**
 * - WEBHOOK_ALLOW: addresses that are fine although they are not public, with commas between: `127.0.0.1,10.1.0.0/16`
 * - WEBHOOK_TIME_FACTOR: all waits of the schedule times this; 0.001 makes a minute 60 ms
 * - WEBHOOK_TIMEOUT_MS: of one attempt; twice that is the lease
 */
export function envDispatcher(): { allow: string[]; timeFactor: number; timeoutMs: number } {
  const allow = process.env.WEBHOOK_ALLOW?.split(',').filter((network) => network !== '') ?? [];
  return { allow, timeFactor: envTimeFactor(), timeoutMs: envInteger('WEBHOOK_TIMEOUT_MS', 15_000, { min: 1 }) };
}

function envTimeFactor(): number {
  const text = process.env.WEBHOOK_TIME_FACTOR || '1';
  const factor = Number(text);
  if (factor > 0 && factor <= 1) return factor;
  throw new ConfigError(`WEBHOOK_TIME_FACTOR=${text}: expected a number above 0, and 1 at most`);
}
