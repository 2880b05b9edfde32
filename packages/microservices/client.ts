/**
 * A customer's side: signs up, logs in, orders, and follows the order to its end.
 *
 * It knows one address and nothing of the services behind it. An order is given up on only when its deadline has passed: until then
 * it is sent again with the same key, and the system makes one order of it. What is followed goes on across a line that was cut.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { main } from '@patterns/kit/main';
import { type Answer, type CallOptions, call } from '@patterns/request-response/call';
import { connect, SseError } from '@patterns/sse/client';
import { readTokens } from '@patterns/stateless-auth/protocol';
import * as protocol from './protocol.ts';

/** How long a call may take in all, its repetitions included, and what ends it sooner. */
export type Options = Pick<CallOptions, 'signal' | 'deadlineMs' | 'attemptMs'>;

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

/** An order as it was answered, and under which id its way through the services can be looked up. */
export type Placed = protocol.OrderView & { readonly traceId?: string };

/** Makes a user. Done again with the same password, it is no error. @throws {CallError} `refused` 409 when the name is taken. */
export async function signUp(url: string, user: Credentials, options: Options = {}): Promise<void> {
  await post(url, protocol.SIGNUP_PATH, user, safely(), options);
}

/** @returns an access token, good for ten minutes. @throws {CallError} `refused` 400 when it is not the password. */
export async function logIn(url: string, user: Credentials, options: Options = {}): Promise<string> {
  return readTokens(bodyOf(await post(url, protocol.LOGIN_PATH, user, safely(), options))).access_token;
}

/** What there is. `degraded`: it is the last menu that the gateway has seen. @throws {CallError} */
export async function getMenu(url: string, options: Options = {}): Promise<protocol.Menu> {
  return protocol.readMenu(bodyOf(await get(url, protocol.MENU_PATH, {}, options)));
}

// #region order
/**
 * Orders, once: what is lost on the way is asked again, with the same key. Its answer may be `awaiting-payment`.
 * @param key names this one wish. To repeat it later, perhaps after a crash, keep the key before you call.
 * @throws {CallError} `refused` with a status of 4xx when it cannot become an order; else nobody knows, and the key still helps.
 */
export async function placeOrder(
  url: string,
  token: string,
  order: protocol.OrderRequest,
  { key = randomUUID(), ...options }: Options & { key?: string } = {},
): Promise<Placed> {
  const headers = { ...bearer(token), 'Idempotency-Key': key };
  const answer = await post(url, protocol.ORDERS_PATH, order, headers, options);
  const traceId = answer.headers.get('traceresponse')?.split('-')[1];
  return { ...protocol.readOrderView(bodyOf(answer)), ...(traceId ? { traceId } : {}) };
}
// #endregion

/** How an order stands. @throws {CallError} `refused` 404 when there is none of yours. */
export async function getOrder(url: string, token: string, id: string, options: Options = {}) {
  const path = `${protocol.ORDERS_PATH}/${encodeURIComponent(id)}`;
  return protocol.readOrderView(bodyOf(await get(url, path, bearer(token), options)));
}

export interface FollowOptions {
  /** The id of the last event already seen. Without it: from the beginning. */
  after?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Silence after which the line counts as dead: three heartbeats. */
  silenceMs?: number;
}

/** One event, and the id to go on after. */
export type Followed = protocol.Progress & { readonly eventId: string };

/**
 * Yields what happens to an order, each event once, until it is in its final state.
 * @param view has where to follow it, with a ticket that is good for an hour.
 * @throws {SseError} when the gateway refuses for good, or what comes is not understood.
 */
export async function* followOrder(
  url: string,
  { events }: Pick<protocol.OrderView, 'events'>,
  { after, signal, silenceMs = 45_000 }: FollowOptions = {},
): AsyncGenerator<Followed, void> {
  if (!events) throw new SseError('refused', 'the order does not say where to follow it');
  let cursor = after;
  let retryMs = 1_000;
  let isOver = false;
  const onRetry = (milliseconds: number) => (retryMs = milliseconds);
  const onEnd = () => (isOver = true);

  while (!isOver && !signal?.aborted) {
    try {
      const line = connect(url, { path: events, cursor, signal, silenceMs, onRetry, onEnd });
      for await (const { event, id, data } of line) {
        if (id !== undefined) cursor = id || undefined; // an empty one: it has expired, and how the order stands now comes next
        const progress = event === 'reset' ? undefined : understand(data);
        if (!progress) continue;
        isOver = progress.type === 'state' && protocol.FINAL_STATES.includes(progress.state);
        yield { ...progress, eventId: cursor ?? '' };
        if (isOver) return;
      }
    } catch (error) {
      if (error instanceof SseError) throw error; // anything else is the line
    }
    // At least half of what the server asked for, and up to half more: not all come back at once.
    if (!isOver) await delay(retryMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
  }
}

function understand(data: string): protocol.Progress | undefined {
  try {
    return protocol.readProgress(JSON.parse(data));
  } catch (cause) {
    throw new SseError('malformed-event', `not understood: ${data.slice(0, 80)}`, { cause });
  }
}

function get(url: string, path: string, headers: Record<string, string>, options: Options): Promise<Answer> {
  return call(new URL(path, url), { method: 'GET', headers: { Accept: 'application/json', ...headers } }, options);
}

function post(url: string, path: string, body: object, headers: Record<string, string>, options: Options) {
  const request = { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers } };
  return call(new URL(path, url), { ...request, body: JSON.stringify(body) }, options);
}

/** To do it twice is as to do it once. It is `call` that goes by the key, to know it. */
const safely = () => ({ 'Idempotency-Key': randomUUID() });
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const bodyOf = ({ text }: Answer): unknown => JSON.parse(text);

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const url = process.argv[2];
    if (!url) return console.log('usage: node client.ts <url of the gateway>   (start it all with: node server.ts)');
    const user = { name: `guest-${randomUUID().slice(0, 8)}`, password: randomUUID() };
    await signUp(url, user, { signal });
    const token = await logIn(url, user, { signal });
    console.log(`signed up and logged in as ${user.name}`);
    const { items } = await getMenu(url, { signal });
    for (const { id, name, price } of items) console.log(`  ${(price / 100).toFixed(2).padStart(6)}  ${name} (${id})`);
    const order = { items: [{ dish: items[0]?.id ?? 'pizza', quantity: 1 }], address: '1 Harbour Street' };
    const placed = await placeOrder(url, token, order, { signal });
    console.log(`order ${placed.id}: ${placed.state}, ${(placed.total / 100).toFixed(2)}  trace ${placed.traceId}`);
    for await (const progress of followOrder(url, placed, { signal })) {
      if (progress.type === 'courier') console.log(`the courier is ${progress.metres} m away`);
      else console.log(`${progress.state}${progress.reason ? `: ${progress.reason}` : ''}`);
    }
  });
}
