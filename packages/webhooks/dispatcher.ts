/**
 * Sends webhooks: takes what is due, tries each once, writes down what became of it. Any number of dispatchers may run on one
 * database, and one that is killed loses nothing: what it held is due again when its lease is over. Then a webhook may be sent
 * twice, which no sender can rule out: its answer may have been lost on the way. The consumer tells by the id.
 *
 * On SIGTERM it takes nothing more, waits for the answers that are under way, and writes them down.
 */
import { envUrl } from '@patterns/kit/env';
import { createLog, type Log } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { Agent } from 'undici';
import { openPool } from './database.ts';
import { type Claim, claim } from './deliveries.ts';
import { attempt, type Outcome } from './delivery.ts';
import { type DestinationOptions, guardDestinations } from './destination.ts';
import { envDispatcher } from './dispatcher-env.ts';
import { fanOut, NEW_EVENTS } from './events.ts';
import { keepVerdicts } from './verdicts.ts';
import { listenFor } from './wake-up.ts';

export interface DispatcherOptions extends DestinationOptions {
  databaseUrl: string;
  log?: Log;
  /** Of one attempt: 15 s, since a consumer has nothing to do but write it down. */
  timeoutMs?: number;
  /** How long nobody else tries what this one has taken. Must be longer than the timeout, by what writing it down takes. */
  leaseMs?: number;
  /** Attempts under way at one endpoint, and in all. */
  perEndpoint?: number;
  concurrency?: number;
  /** See schedule.ts. */
  timeFactor?: number;
  /** How often to look for what is due. New events announce themselves (wake-up.ts). */
  pollMs?: number;
  /** 5 s: under the 10 s that `docker stop` allows before it kills. Then what is under way is cut off, and due at once. */
  graceMs?: number;
}

/** Starts sending. Disposing it stops that, and waits for what is under way. */
export function startDispatcher({
  databaseUrl,
  log = createLog('webhooks-dispatcher'),
  timeoutMs = 15_000,
  leaseMs = 2 * timeoutMs,
  perEndpoint = 32,
  concurrency = 1_000,
  timeFactor = 1,
  pollMs = Math.min(1_000, Math.max(20, 15_000 * timeFactor)),
  graceMs = 5_000,
  ...destination
}: DispatcherOptions): AsyncDisposable {
  const pool = openPool({ url: databaseUrl, size: 4 });
  const agent = new Agent({ connect: guardDestinations(destination).connect });
  const [stopping, cutting] = [new AbortController(), new AbortController()];
  const writeDown = keepVerdicts({ pool, log, timeFactor });
  const inFlight = new Map<string, number>();
  const underWay = new Set<Promise<void>>();
  let woken = Promise.withResolvers<void>();
  const wake = () => {
    woken.resolve();
    woken = Promise.withResolvers();
  };

  // #region dispatch
  async function dispatch(): Promise<void> {
    while (!stopping.signal.aborted) {
      const { promise } = woken; // before the look: what comes in during it must not be slept through
      const found = await takeWhatIsDue().catch((error) => {
        log.warn('nothing can be taken', { error });
        return false;
      });
      if (!found && !stopping.signal.aborted) await promise;
    }
  }

  async function takeWhatIsDue(): Promise<boolean> {
    const events = await fanOut(pool);
    const limit = concurrency - underWay.size;
    const claims = await claim(pool, { inFlight, perEndpoint, limit, leaseMs });
    for (const each of claims) {
      const sending = send(each).finally(() => underWay.delete(sending));
      underWay.add(sending);
    }
    return events + claims.length > 0;
  }

  async function send(taken: Claim): Promise<void> {
    count(taken.endpoint, 1);
    const outcome = await attempt(agent, taken, timeoutMs, cutting.signal);
    count(taken.endpoint, -1);
    wake(); // there is room for another one
    report(taken, outcome);
    await writeDown(taken, outcome, cutting.signal.aborted);
  }
  // #endregion

  function count(endpoint: string, change: 1 | -1): void {
    const now = (inFlight.get(endpoint) ?? 0) + change;
    if (now === 0) inFlight.delete(endpoint);
    else inFlight.set(endpoint, now);
  }

  function report({ event, endpoint, attempt }: Claim, outcome: Outcome): void {
    // Without the URL: consumers put tokens into it.
    if (log.isInfoEnabled()) log.info('attempt', { webhookId: event, endpoint, attempt, ...outcome });
  }

  const poll = setInterval(wake, pollMs);
  const listening = listenFor(databaseUrl, NEW_EVENTS, wake, stopping.signal);
  const dispatching = dispatch();
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      clearInterval(poll);
      wake();
      await dispatching;
      const force = setTimeout(() => cutting.abort(), graceMs);
      await Promise.all(underWay);
      clearTimeout(force);
      await Promise.all([listening, agent.destroy()]);
      await pool.end();
    },
  };
}

if (import.meta.main) {
  await main(async (stack) => {
    const hint = 'it says which provider to work for';
    const databaseUrl = envUrl('DATABASE_URL', { protocols: ['postgres:', 'postgresql:'], hint });
    stack.use(startDispatcher({ databaseUrl, ...envDispatcher() }));
    console.log('dispatching');
  });
}
