/** What the provider's tests share: a provider in a database of its own, a look from outside, and consumers that answer as told. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog } from '@patterns/kit/log';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { createDatabase } from '@patterns/services/database';
import pg from 'pg';
import { inject } from 'vitest';
import { type DispatcherOptions, startDispatcher } from '../dispatcher.ts';
import { type ProviderOptions, startProvider } from '../provider.ts';
import { createProvider } from '../provider-database.ts';

export const quiet = createLog('test');
quiet.silent = true;

export const LOOPBACK = ['127.0.0.1'];

export interface Delivered {
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Receiver extends AsyncDisposable {
  readonly url: string;
  /** What came, in the order in which it came. */
  readonly webhooks: EventQueue<Delivered>;
  readonly connections: number;
}

type Answer = number | ((response: ServerResponse, request: IncomingMessage, index: number) => void);

/** A consumer that answers with the given statuses, one after the other, the last one for ever; or as the function does. */
export async function openReceiver(...answers: Answer[]): Promise<Receiver> {
  const webhooks = new EventQueue<Delivered>();
  let index = 0;
  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await buffer(request).catch(() => undefined);
    if (!body) return; // cut off
    const answer = answers[Math.min(index, answers.length - 1)] ?? 204;
    index++;
    webhooks.push({ headers: request.headers, body });
    if (typeof answer === 'number') response.writeHead(answer).end();
    else answer(response, request, index - 1);
  };
  const server = createServer((request, response) => void receive(request, response));
  const listening: Listening = await listen(server, { graceMs: 0 });
  return {
    url: `${listening.url}/hooks`,
    webhooks,
    get connections() {
      return listening.connections;
    },
    [Symbol.asyncDispose]: () => listening.close(),
  };
}

/** A provider without a dispatcher, and a superuser's connections to look at its tables and to meddle with them. */
export async function openProvider(options: Partial<ProviderOptions> = {}) {
  await using stack = new AsyncDisposableStack();
  const { url: databaseUrl } = stack.use(await createDatabase(inject('databaseUrl'), 'provider'));
  await createProvider(databaseUrl);
  const admin = new pg.Pool({ connectionString: databaseUrl, application_name: 'test', max: 2 });
  stack.defer(() => admin.end());
  const { url } = stack.use(await startProvider({ databaseUrl, log: quiet, allow: LOOPBACK, ...options }));
  const query = async <T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<T[]> =>
    (await admin.query<T>(text, values)).rows;
  const request = async (method: string, path: string, body?: unknown) => {
    const json =
      body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
    const response = await fetch(url + path, { method, ...json });
    const text = await response.text();
    // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of all kinds
    return { status: response.status, headers: response.headers, body: (text ? JSON.parse(text) : undefined) as any };
  };
  const resources = stack.move();
  return {
    url,
    databaseUrl,
    query,
    get: (path: string) => request('GET', path),
    post: (path: string, body?: unknown) => request('POST', path, body),
    delete: (path: string) => request('DELETE', path),
    /** Registers a consumer. */
    async register(url: string, types?: string[]): Promise<{ id: string; secret: string }> {
      return (await request('POST', '/endpoints', { url, ...(types ? { types } : {}) })).body;
    },
    /** Takes a payment, and returns its event's id. */
    async pay(amount = 4200): Promise<string> {
      const { body } = await request('POST', '/payments', { amount });
      const rows = await query<{ id: string }>(`select id from provider.events where body like $1`, [
        `%${body.payment}%`,
      ]);
      return rows[0]!.id;
    },
    /** The deliveries of an endpoint, in the order of their events. */
    deliveries: (endpoint: string) =>
      query<{ event: string; state: string; attempts: number; reason: string | null; waitMs: number }>(
        `select event, state, attempts, reason, extract(epoch from due_at - now())::float8 * 1000 as "waitMs"
           from provider.deliveries where endpoint = $1 order by id`,
        [endpoint],
      ),
    /** A dispatcher in this process, fast enough to be waited for: a minute is 60 ms. */
    dispatch: (more: Partial<DispatcherOptions> = {}) =>
      startDispatcher({ databaseUrl, log: quiet, allow: LOOPBACK, timeFactor: 0.001, ...more }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export type Provider = Awaited<ReturnType<typeof openProvider>>;
