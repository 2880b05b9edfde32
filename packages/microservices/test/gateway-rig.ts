/**
 * A gateway for tests: before a real user service, and before an order and a tracking service that do as a test tells them and keep
 * what they were asked.
 */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { listen } from '@patterns/kit/listen';
import { createLog } from '@patterns/kit/log';
import { createDatabase } from '@patterns/services/database';
import { inject } from 'vitest';
import { logIn, signUp } from '../client.ts';
import { type GatewayOptions, startGateway } from '../gateway/server.ts';
import type { OrderRequest } from '../protocol.ts';
import { startUser } from '../user/server.ts';

export const quiet = createLog('test');
quiet.silent = true;

/** The keys of a service, as PEM. */
export const makeKeys = () =>
  generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
export const GATEWAY_KEY = makeKeys();

/** A hash takes its time where many tests run at once. */
export const PATIENTLY = { deadlineMs: 60_000, attemptMs: 60_000 };

export const PIZZA: OrderRequest = { items: [{ dish: 'pizza', quantity: 1 }], address: '1 Main Street' };
export const MENU = { items: [{ id: 'pizza', name: 'Pizza', price: 1_000 }] };
export const viewOf = (id: string, state = 'paid') => ({ ...PIZZA, id, state, total: 1_000, placedAt: '2026-01-01' });

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Resolves when the connection of the answer is closed, with whether it was complete. */
  readonly closed: Promise<boolean>;
}

export type Answering = (response: ServerResponse, asked: Asked) => void;

/** A service that answers as `answering` says. */
export async function startStub(answering: Answering) {
  const asked: Asked[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const closed = new Promise<boolean>((resolve) => {
      response.once('close', () => resolve(response.writableFinished));
    });
    const { method = '', url: path = '', headers } = request;
    const each = { method, path, headers, closed, body: await text(request).catch(() => '') };
    asked.push(each);
    stub.answering(response, each);
  };
  const server = createServer((request, response) => void answer(request, response));
  const listening = await listen(server, { graceMs: 100 });
  const stub = { url: listening.url, asked, answering, [Symbol.asyncDispose]: () => listening.close() };
  return stub;
}

export function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) {
  const type = status < 400 ? 'application/json' : 'application/problem+json';
  response.writeHead(status, { 'Content-Type': type, ...headers }).end(JSON.stringify(body));
}

/** An order service that takes whatever it is asked. */
export const takesOrders: Answering = (response, { method, path }) => {
  if (path === '/menu') send(response, 200, MENU);
  else if (method === 'POST') send(response, 201, viewOf(randomUUID()));
  else send(response, 200, viewOf(path.split('/')[2]!));
};

export async function openGatewayRig() {
  await using stack = new AsyncDisposableStack();
  const { url: databaseUrl } = stack.use(await createDatabase(inject('databaseUrl'), 'user'));
  const user = stack.use(
    await startUser({ databaseUrl, callers: { gateway: GATEWAY_KEY.publicKey }, log: quiet, graceMs: 100 }),
  );
  const order = stack.use(await startStub(takesOrders));
  const tracking = stack.use(await startStub((response) => send(response, 404, { status: 404 })));
  const start = (options: Partial<GatewayOptions> = {}) =>
    startGateway({
      userUrls: [user.url],
      orderUrls: [order.url],
      trackingUrl: tracking.url,
      privateKey: GATEWAY_KEY.privateKey,
      maxMs: 20_000, // the machine may be busy with other things
      menuFreshMs: 0,
      log: quiet,
      graceMs: 100,
      ...options,
    });
  const gateway = stack.use(await start());
  const ann = { name: 'ann', password: 'a wet day in may' };
  await signUp(gateway.url, ann, PATIENTLY);
  const token = await logIn(gateway.url, ann, PATIENTLY);
  const opened = stack.move();
  return {
    url: gateway.url,
    databaseUrl,
    user,
    order,
    tracking,
    /** Another gateway, before the same services. */
    start,
    ann,
    /** Ann's, which all gateways take. */
    token,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

export type GatewayRig = Awaited<ReturnType<typeof openGatewayRig>>;

/** Places an order, and resolves with whatever is answered. */
export async function order(
  url: string,
  token: string,
  { body = PIZZA as unknown, headers = {}, signal = null as AbortSignal | null } = {},
) {
  const response = await fetch(`${url}/orders`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      'Idempotency-Key': randomUUID(),
      ...headers,
    },
    body: JSON.stringify(body),
    signal,
  });
  return await read(response);
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of all kinds
export async function read(response: Response): Promise<{ status: number; headers: Headers; body: any }> {
  const content = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(content) : content };
}
