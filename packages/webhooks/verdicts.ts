/** What follows from an attempt: when the next one is due, whether the endpoint is spared for a while, or disabled. */
import type { Log } from '@patterns/kit/log';
import type { Pool } from 'pg';
import { type Claim, type Settlement, settle } from './deliveries.ts';
import type { Outcome } from './delivery.ts';
import { disableEndpoint, findLongFailing } from './endpoints.ts';
import { DISABLE_AFTER_MS, restMs, retryWaitMs } from './schedule.ts';
import { writeBehind } from './write-behind.ts';

export interface VerdictOptions {
  pool: Pool;
  log: Log;
  timeFactor: number;
}

/**
 * Returns what writes down outcomes; it resolves when that is done, and never rejects. `isCut`: we have cut the attempt off
 * ourselves, so the delivery is due at once.
 */
export function keepVerdicts({ pool, log, timeFactor }: VerdictOptions) {
  const written = writeBehind<Settlement>(async (settlements) => {
    await settle(pool, settlements);
    const endpointsOf = (as: Outcome['as']) => [
      ...new Set(settlements.filter(({ outcome }) => outcome.as === as).map(({ claim }) => claim.endpoint)),
    ];
    for (const endpoint of endpointsOf('gone')) await disable(endpoint, 'the endpoint answered 410');
    const failed = endpointsOf('failed');
    if (failed.length === 0) return;
    for (const endpoint of await findLongFailing(pool, failed, DISABLE_AFTER_MS * timeFactor)) {
      await disable(endpoint, 'it has failed for too long');
    }
  }, log);

  async function disable(endpoint: string, reason: string): Promise<void> {
    await disableEndpoint(pool, endpoint, reason);
    log.warn('endpoint disabled', { endpoint, reason }); // here its owner is written to
  }

  return (claim: Claim, outcome: Outcome, isCut: boolean): Promise<void> => {
    if (outcome.as !== 'failed') return written({ claim, outcome });
    if (isCut) return written({ claim, outcome, waitMs: 0 });
    const { retryAfterMs, isOverloaded } = outcome;
    return written({
      claim,
      outcome,
      waitMs: retryWaitMs(claim.attempt, retryAfterMs, { timeFactor }),
      restMs: isOverloaded ? restMs(retryAfterMs, { timeFactor }) : undefined,
    });
  };
}
