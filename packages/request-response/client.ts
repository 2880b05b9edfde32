/**
 * A guest: reads the menu, orders, and looks the order up. What makes a call hold is in `call.ts`.
 */
import { randomUUID } from 'node:crypto';
import { envInteger } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { type Answer, CallError, type CallOptions, call } from './call.ts';
import {
  MENU_PATH,
  type Menu,
  ORDERS_PATH,
  type Order,
  type PlacedOrder,
  parseMenu,
  parsePlacedOrder,
} from './protocol.ts';

const ACCEPT = { Accept: 'application/json' };

/** A menu, and the version that it is: to be asked with next time. */
export interface VersionedMenu {
  readonly menu: Menu;
  readonly etag: string | null;
}

/**
 * Reads the menu. Given the one we have, asks only whether it still holds, and returns the same when it does.
 * @throws {CallError}
 */
export async function getMenu(
  url: string,
  { known, ...options }: CallOptions & { known?: VersionedMenu | undefined } = {},
): Promise<VersionedMenu> {
  const headers = { ...ACCEPT, ...(known?.etag ? { 'If-None-Match': known.etag } : {}) };
  const answer = await call(new URL(MENU_PATH, url), { method: 'GET', headers }, options);
  if (answer.status === 304 && known) return known;
  return { menu: read(answer, parseMenu), etag: answer.headers.get('ETag') };
}

/**
 * Places an order, once, however often it has to be sent: the key is what tells the server that it is the same one. A caller
 * that wants to survive its own crash stores the key with what it wants, before it calls.
 * @throws {CallError} of `timeout` and `network` nobody knows whether the order was placed: call again, with the same key.
 */
export async function placeOrder(
  url: string,
  order: Order,
  { idempotencyKey = randomUUID(), ...options }: CallOptions & { idempotencyKey?: string } = {},
): Promise<PlacedOrder> {
  const headers = { ...ACCEPT, 'Content-Type': 'application/json', 'Idempotency-Key': `"${idempotencyKey}"` };
  const request = { method: 'POST', headers, body: JSON.stringify(order) };
  return read(await call(new URL(ORDERS_PATH, url), request, options), parsePlacedOrder);
}

/** Looks an order up. @throws {CallError} */
export async function getOrder(url: string, id: string, options: CallOptions = {}): Promise<PlacedOrder> {
  const at = new URL(`${ORDERS_PATH}/${encodeURIComponent(id)}`, url);
  return read(await call(at, { method: 'GET', headers: ACCEPT }, options), parsePlacedOrder);
}

function read<T>({ text }: Answer, parse: (body: unknown) => T): T {
  try {
    return parse(JSON.parse(text));
  } catch (cause) {
    throw new CallError('protocol', `not understood: ${text.slice(0, 80)}`, { cause });
  }
}

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [url, only] = process.argv.slice(2);
    if (!url) return console.log('usage: node client.ts <url of a server> [order]   (start one with: node server.ts)');
    const options: CallOptions = { signal, deadlineMs: envInteger('DEADLINE_MS', 10_000) };
    const startedAt = performance.now();
    try {
      if (only !== 'order') {
        const known = await getMenu(url, options);
        console.log(`${known.menu.items.length} dishes, version ${known.etag}`);
        const again = await getMenu(url, { ...options, known });
        console.log(again === known ? 'asked again: still the same version' : `asked again: version ${again.etag}`);
      }
      const { id, total } = await placeOrder(url, { table: 7, items: [{ dish: 'pizza', quantity: 2 }] }, options);
      console.log(`ordered: ${id}, ${(total / 100).toFixed(2)} to pay, ${sinceMs(startedAt)} ms`);
      if (only !== 'order') console.log(`looked up: placed at ${(await getOrder(url, id, options)).placedAt}`);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      console.log(`gave up after ${sinceMs(startedAt)} ms: ${error.code}: ${error.message}`);
      process.exitCode = 1;
    }
  });
}

function sinceMs(startedAt: number): number {
  return Math.round(performance.now() - startedAt);
}
