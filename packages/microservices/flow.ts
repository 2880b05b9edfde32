/**
 * A steady flow of customers, as demo and chaos need it: so many a second, whatever becomes of those before them. Each logs in,
 * orders once or twice, and believes the answer. What they were answered is what the books are held against in the end (audit.ts).
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay, setInterval as every } from 'node:timers/promises';
import { until } from '@patterns/kit/testing/until';
import { CallError } from '@patterns/request-response/call';
import { type Credentials, logIn, type Placed, placeOrder, signUp } from './client.ts';
import { wishOf } from './wishes.ts';

/** How long somebody looks at an error before they ask again. */
const AGAIN_MS = 500;

const CUSTOMERS = 4;
const ORDERS_OF_A_LOGIN = 2;

/** On a machine that cannot follow, fewer come: what waits too long says nothing about the fault. */
const MOST_AT_ONCE = 10;

/** One customer's order, as the customer knows it. */
export interface Answered {
  readonly order: Placed;
  /** From asking to the answer. */
  readonly tookMs: number;
}

export interface FlowOptions {
  perSecond: number;
  /** How long a customer keeps asking, with the same key. */
  patienceMs?: number;
  signal?: AbortSignal;
}

export interface Flow extends AsyncDisposable {
  readonly answered: readonly Answered[];
  readonly logins: number;
  /** What was asked again, an order with its key, after an error that somebody saw. */
  readonly repeated: number;
  /** Logins that failed, and orders that had no answer after all patience, with what was said. */
  readonly failed: readonly { readonly what: 'login' | 'order'; readonly error: Error }[];
  /** Waits until `n` more have been answered that `accepts` accepts. @returns those. */
  more(n: number, accepts?: (answered: Answered) => boolean): Promise<Answered[]>;
  /** Nobody comes any more; resolves when the last one has an answer. Disposing does the same. */
  stop(): Promise<void>;
}

/** What will be refused however often it is asked. 409: the first request is still under way. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof CallError) || error.status === undefined) return false;
  return error.status < 500 && ![409, 429].includes(error.status);
}

/** Starts the flow to a gateway, with a few customers who take turns. @throws {CallError} when they cannot sign up */
export async function startFlow(url: string, { perSecond, patienceMs = 30_000, signal }: FlowOptions): Promise<Flow> {
  let repeated = 0;
  // #region persist
  /** As a person does it: an error is seen, and the same is asked once more. The key makes it one order. */
  const persist = async <T>(work: () => Promise<T>): Promise<T> => {
    for (const until = performance.now() + patienceMs; ; repeated++) {
      try {
        return await work();
      } catch (error) {
        if (isFinal(error) || signal?.aborted || performance.now() > until) throw error;
        await delay(AGAIN_MS, undefined, signal && { signal });
      }
    }
  };
  // #endregion
  const customers: Credentials[] = Array.from({ length: CUSTOMERS }, () => ({
    name: randomUUID(),
    password: randomUUID(),
  }));
  // One after the other, here and at the logins: a check costs as much as a guess, and a busy machine does one at a time.
  for (const customer of customers) await persist(() => signUp(url, customer, { signal }));
  const tokens = new Map<Credentials, string>();
  let lastLogin: Promise<unknown> = Promise.resolve();
  const logInInTurn = (customer: Credentials): Promise<string> => {
    const mine = lastLogin.then(() => persist(() => logIn(url, customer, { signal })));
    lastLogin = mine.catch(() => {});
    return mine;
  };

  const answered: Answered[] = [];
  const failed: Flow['failed'][number][] = [];
  const under = new Set<Promise<void>>();
  const stopping = new AbortController();
  let logins = 0;

  const come = async (n: number) => {
    let what: 'login' | 'order' = 'login';
    try {
      const customer = customers[n % CUSTOMERS]!;
      const known = Math.floor(n / CUSTOMERS) % ORDERS_OF_A_LOGIN === 0 ? undefined : tokens.get(customer);
      const token = known ?? (await logInInTurn(customer));
      tokens.set(customer, token);
      if (!known) logins++;
      what = 'order';
      const startedAt = performance.now();
      const wish = { items: wishOf(n).items, address: '1 Harbour Street' };
      const key = randomUUID();
      const order = await persist(() => placeOrder(url, token, wish, { key, signal }));
      answered.push({ order, tookMs: performance.now() - startedAt });
    } catch (error) {
      if (!signal?.aborted) failed.push({ what, error: error as Error });
    }
  };
  const run = async () => {
    let n = 0;
    for await (const _ of every(1_000 / perSecond, undefined, { signal: stopping.signal })) {
      if (under.size >= MOST_AT_ONCE) continue;
      const coming = come(++n).finally(() => under.delete(coming));
      under.add(coming);
    }
  };
  const running = run().catch(() => {}); // the abort
  const stop = async () => {
    stopping.abort();
    await running;
    await Promise.all(under);
  };

  return {
    answered,
    failed,
    get logins() {
      return logins;
    },
    get repeated() {
      return repeated;
    },
    async more(n, accepts = () => true) {
      const before = answered.length;
      const found = () => answered.slice(before).filter(accepts);
      const isThere = () => found().length >= n;
      await until(`${n} more answers`, isThere, { withinMs: 60_000, ...(signal && { signal }) }).catch((error) => {
        throw new Error(`${error.message}; ${answered.length - before} others; ${failed.length} failed`, {
          cause: failed.at(-1)?.error ?? error,
        });
      });
      return found();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
