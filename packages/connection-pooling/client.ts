/**
 * Asks the bank. For a client the pool shows in one thing only: an answer may be 503, which means that nothing was done and
 * when to ask again. Reading is asked again by itself; a transfer is left to the caller, who knows whether it may be.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { main } from '@patterns/kit/main';
import { HttpProblem } from '@patterns/kit/problem';
import { burst } from './burst.ts';
import { decodeReceipt, decodeUsers, type Receipt, TRANSFERS, type Transfer, USERS, type User } from './protocol.ts';

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** For one attempt. 5 s: the server's own timeouts end sooner, so that what comes back is an answer. */
  timeoutMs?: number;
}

/**
 * Reads the users; asks again, at most `attempts` times in all, when the server is busy.
 * @throws {HttpProblem} any other status; a TimeoutError when there is no answer in time.
 */
export async function getUsers(
  url: string,
  { attempts = 3, ...options }: CallOptions & { attempts?: number } = {},
): Promise<User[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return decodeUsers(await call(new URL(USERS, url), {}, options));
    } catch (error) {
      if (!(error instanceof HttpProblem) || error.status !== 503 || attempt === attempts) throw error;
      const seconds = Number(error.options.headers?.['Retry-After'] ?? 1);
      // Not sooner than asked, and not all in the same instant.
      await delay(seconds * 1_000 * (1 + Math.random()), undefined, options.signal ? { signal: options.signal } : {});
    }
  }
}

/** Moves money. @throws {HttpProblem} when it was refused; a TimeoutError when nobody knows whether it was done. */
export async function postTransfer(url: string, transfer: Transfer, options: CallOptions = {}): Promise<Receipt> {
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify(transfer);
  return decodeReceipt(await call(new URL(TRANSFERS, url), { method: 'POST', headers, body }, options));
}

async function call(url: URL, init: RequestInit, { signal, timeoutMs = 5_000 }: CallOptions): Promise<unknown> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, { ...init, signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  const retryAfter = response.headers.get('Retry-After');
  const isProblem = response.headers.get('Content-Type')?.startsWith('application/problem+json');
  throw new HttpProblem(response.status, {
    ...(isProblem ? (JSON.parse(text) as { detail?: string }) : {}),
    ...(retryAfter === null ? {} : { headers: { 'Retry-After': retryAfter } }),
  });
}

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [, , url, count] = process.argv;
    if (!url) {
      return console.log('usage: node client.ts <url of a server> [count]   (start one with: node server.ts)');
    }
    if (count) {
      const { summary } = await burst(Number(count), () => getUsers(url, { signal, attempts: 1 }));
      return console.log(`${count} × GET ${USERS} at once: ${summary}`);
    }
    const balances = async () =>
      (await getUsers(url, { signal })).slice(0, 2).map(({ name, balance }) => `${name}: ${balance}`);
    console.log((await balances()).join('   '));
    const { id, amount } = await postTransfer(url, { from: 1, to: 2, amount: 500 }, { signal });
    console.log(`transfer ${id}: ${amount} from 1 to 2`);
    console.log((await balances()).join('   '));
  });
}
