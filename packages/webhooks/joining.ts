/**
 * How a shop that is run by hand comes to its webhooks: it registers at the provider, asks it from time to time for what it has
 * missed, exchanges its secret on SIGUSR2, and, when its database goes with it, says good-bye.
 */

import { repeat } from '@patterns/kit/background';
import { envInteger } from '@patterns/kit/env';
import type { Log } from '@patterns/kit/log';
import type { Pool } from 'pg';
import { PAYMENTS, WEBHOOKS } from './protocol.ts';
import { reconcile } from './reconcile.ts';
import { type KeyRing, keepSecret, register, rotate, unregister } from './registration.ts';
import { newSecret } from './signature.ts';

export interface Joining {
  readonly pool: Pool;
  readonly keys: KeyRing;
  readonly log: Log;
  /** Where the shop listens. */
  readonly url: string;
  /** The shop's database is dropped at the end. */
  readonly isThrownAway: boolean;
}

/** Joins a provider, and says what to do next. */
export async function joinProvider(stack: AsyncDisposableStack, provider: string, joining: Joining): Promise<void> {
  const { pool, keys, log, url, isThrownAway } = joining;
  const publicUrl = process.env.PUBLIC_URL ?? url; // behind a proxy, what others call it
  const endpoint = await register(pool, provider, publicUrl + WEBHOOKS);
  await keys.refresh();
  const settleMs = envInteger('SETTLE_MS', 60_000);
  const reconcileMs = envInteger('RECONCILE_MS', 10 * 60_000, { min: 1 }); // an hour is enough, if nobody watches
  stack.use(repeat(reconcileMs, () => reconcile(pool, provider, { settleMs }), log));

  const exchange = () => {
    rotate(pool, provider)
      .then(() => keys.refresh())
      .then(() => console.log('the secret has been exchanged'))
      .catch((error) => log.error('the secret could not be exchanged', { error }));
  };
  process.on('SIGUSR2', exchange);
  stack.defer(() => void process.off('SIGUSR2', exchange));
  if (isThrownAway) stack.defer(() => unregister(pool, provider).catch(() => {})); // it may be gone as well

  console.log(`registered at ${provider} as ${endpoint}`);
  console.log(
    `in another terminal: curl ${provider}${PAYMENTS} -H 'Content-Type: application/json' -d '{ "amount": 4200 }'`,
  );
  console.log(`               then: curl ${url}/orders/<payment>`);
  console.log(`                 or: kill -USR2 ${process.pid}     which exchanges the secret`);
}

/** Without a provider: takes what is signed by hand. */
export async function useSecret(pool: Pool, secret = newSecret()): Promise<void> {
  await keepSecret(pool, { secret, provider: 'by hand', endpoint: 'by hand' });
  console.log(`no provider: this shop takes what is signed with WEBHOOK_SECRET=${secret}`);
  console.log('in another terminal: pnpm -C packages/webhooks provider');
  console.log("     then, here again: pnpm -C packages/webhooks consumer <the provider's url>");
}
