import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { createLog } from '@patterns/kit/log';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startProcess } from '@patterns/kit/testing/processes';
import { envelope } from '@patterns/pub-sub/protocol';
import { createDatabase } from '@patterns/services/database';
import { redisKeyspace } from '@patterns/services/keyspace';
import { requirePostgres } from '@patterns/services/testing';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { openIdentity } from '../chassis/identity.ts';
import { openBroker } from '../chassis/messaging.ts';
import type { DeliveryEvent, KitchenEvent, OrderEvent } from '../contracts/events.ts';
import type { Progress, State } from '../protocol.ts';
import { startTracking, type TrackingOptions } from '../tracking/server.ts';

type Message = { id?: string; event?: string; data: Progress };

const quiet = createLog('test');
quiet.silent = true;

requirePostgres()('tracking', () => {
  let town: Town;
  beforeAll(async () => {
    town = await openTown({ maxPending: 10, heartbeatMs: 20 });
  });
  afterAll(() => town[Symbol.asyncDispose]());

  test.concurrent('shows an order its whole way, ends with it, and says 204 to whoever has seen the end', async () => {
    const order = randomUUID();
    await using stream = town.follow(order); // before anybody has heard of it
    await town.order(order, 2, 'paid');
    await town.order(order, 3, 'cooking');
    await town.kitchen(order, 'cooked');
    expect(await town.said(order)).toEqual({ order, type: 'picked-up' });
    await town.order(order, 4, 'on-the-way');
    expect(await town.said(order)).toEqual({ order, type: 'delivered' });
    await town.order(order, 5, 'delivered');
    const all = await rest(stream);
    const metres = Array.from({ length: 10 }, (_, i) => 900 - i * 100);
    expect(all.map(({ data }) => (data.type === 'state' ? data.state : data.metres))).toEqual([
      'paid',
      'cooking',
      'on-the-way',
      ...metres,
      'delivered',
    ]);
    expect(all.every(({ event, data }) => event === data.type)).toBe(true);

    await using resumed = town.follow(order, all[10]!.id);
    expect((await rest(resumed)).map(({ id }) => id)).toEqual(all.slice(11).map(({ id }) => id));
    expect((await town.ask(order, { 'Last-Event-ID': all.at(-1)!.id! })).status).toBe(204);
  });

  test.concurrent('a courier picks up what is cooked and stands, whichever is heard first, and never what is being cancelled', async () => {
    const [cancelled, cookedFirst, cookingFirst] = [randomUUID(), randomUUID(), randomUUID()];
    await town.order(cancelled, 3, 'cancelling');
    await town.kitchen(cancelled, 'cooked');
    await town.order(cookingFirst, 3, 'cooking');
    await town.kitchen(cookingFirst, 'accepted');
    await town.kitchen(cookedFirst, 'cooked');
    await town.order(cookedFirst, 3, 'cooking');
    expect(await town.said(cookedFirst)).toMatchObject({ type: 'picked-up' });
    const saidOf = (order: string) => town.deliveries.items.filter((each) => each.order === order);
    expect(saidOf(cookingFirst)).toEqual([]); // heard before the other one, and not cooked yet
    await town.kitchen(cookingFirst, 'cooked');
    expect(await town.said(cookingFirst)).toMatchObject({ type: 'picked-up' });
    expect(saidOf(cancelled)).toEqual([]);
  });

  test.concurrent('what comes again, or late, is told to nobody', async () => {
    const order = randomUUID();
    await using stream = town.follow(order);
    for (const version of [2, 2, 3, 2, 3, 1]) await town.order(order, version, version === 3 ? 'cancelling' : 'paid');
    await town.order(order, 4, 'cancelled', 'the kitchen has none');
    expect((await rest(stream)).map(({ data }) => data)).toMatchObject([
      { type: 'state', order, state: 'paid' },
      { type: 'state', order, state: 'cancelling' },
      { type: 'state', order, state: 'cancelled', reason: 'the kitchen has none' },
    ]);
  });

  test.concurrent('killed with -9 while a courier is under way, it goes on from where he was', {
    timeout: 60_000,
  }, async () => {
    await using town = await openTown({}, 'elsewhere');
    const start = () =>
      startProcess(new URL('../tracking/server.ts', import.meta.url), {
        env: { ...town.env, STEP_MS: '50', LOG_LEVEL: 'warn' },
      });
    await using first = start();
    town.url = await first.url(30_000);
    const order = randomUUID();
    await using before = town.follow(order);
    await town.order(order, 3, 'cooking');
    await town.kitchen(order, 'cooked');
    await town.said(order);
    await town.order(order, 4, 'on-the-way');
    const seen = await before.take(4);
    await first.kill('SIGKILL');
    await using second = start();
    town.url = await second.url(30_000);
    await using after = town.follow(order, seen.at(-1)!.id);
    expect(await town.said(order)).toEqual({ order, type: 'delivered' });
    await town.order(order, 5, 'delivered');
    const metres = [...seen, ...(await rest(after))].flatMap(({ data }) =>
      data.type === 'courier' ? data.metres : [],
    );
    expect(metres).toEqual(Array.from({ length: 10 }, (_, i) => 900 - i * 100));
  });

  test.concurrent('when the feed has lost what the cursor points at, the customer gets how it stands now', async () => {
    await using town = await openTown();
    const order = randomUUID();
    await using stream = town.follow(order);
    await town.order(order, 2, 'paid');
    const { id } = await stream.next();
    await town.redis.del(`${town.prefix}tracking`);
    await using resumed = town.follow(order, id);
    expect((await resumed.next()).event).toBe('reset');
    expect((await resumed.next()).data).toMatchObject({ state: 'paid' });
    await town.order(order, 3, 'cancelling');
    await town.order(order, 4, 'cancelled');
    expect((await rest(resumed)).map(({ data }) => data)).toMatchObject([
      { state: 'cancelling' },
      { state: 'cancelled' },
    ]);
  });

  test.concurrent('a reader that does not read is cut off; others are not held up', async () => {
    await using feed = new RedisFeed({ url: inject('redisUrl'), key: `${town.prefix}tracking` });
    const order = randomUUID();
    const { port, hostname } = new URL(town.url);
    const socket = connect(Number(port), hostname);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.write(`GET /orders/${order}/events HTTP/1.1\r\nHost: x\r\nAuthorization: ${town.authorization}\r\n\r\n`);
    await new Promise((resolve) => socket.once('readable', resolve)); // and never read
    await using other = town.follow(order);
    for (let i = 0; i < 200 && !socket.closed; i++) {
      await feed.append(order, { type: 'state', order, state: 'paid', reason: 'x'.repeat(100_000) });
      await other.next();
    }
    socket.resume(); // what was sent before the cut
    await closed;
    await town.order(order, 2, 'cancelled');
    expect((await rest(other)).at(-1)!.data).toMatchObject({ state: 'cancelled' });
  });

  test.concurrent('a silent stream gets a heartbeat', async () => {
    const response = await town.ask(randomUUID());
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('\n:\n')) text += (await reader.read()).value;
    await reader.cancel();
  });

  test.concurrent('lets in the gateway alone, and understands no cursor that is none', async () => {
    expect((await town.ask('1', { Authorization: '' })).status).toBe(401);
    const order = openIdentity({ service: 'order', privateKey: town.strangersKey });
    expect((await town.ask('1', { Authorization: `Bearer ${order.tokenFor('tracking')}` })).status).toBe(401);
    const malformed = await town.ask('1', { 'Last-Event-ID': 'yesterday' });
    expect(malformed.status).toBe(400);
    expect(await malformed.json()).toMatchObject({ errors: [{ field: 'Last-Event-ID' }] });
  });
});

/** Everything until the stream ends. */
async function rest(stream: EventQueue<Message>): Promise<Message[]> {
  const messages: Message[] = [];
  for (;;) {
    try {
      messages.push(await stream.next());
    } catch (error) {
      if ((error as Error).message === 'The stream ended') return messages;
      throw error;
    }
  }
}

type Town = Awaited<ReturnType<typeof openTown>>;

/** A tracking service, unless it runs elsewhere, and its neighbours: what they say is published as they publish it. */
async function openTown(options: Partial<TrackingOptions> = {}, where: 'here' | 'elsewhere' = 'here') {
  const stack = new AsyncDisposableStack();
  const redisUrl = inject('redisUrl');
  const { prefix } = stack.use(redisKeyspace(redisUrl, 'tracking'));
  const { url: databaseUrl } = stack.use(await createDatabase(inject('databaseUrl'), 'tracking'));
  const [gateway, stranger] = [newKeys(), newKeys()];
  const callers = { gateway: gateway.publicKey };
  const tracking = where === 'here' && {
    ...stack.use(await startTracking({ databaseUrl, redisUrl, prefix, callers, stepMs: 10, log: quiet, ...options })),
  };
  const broker = stack.use(openBroker({ redisUrl, prefix, log: quiet }));
  const redis = stack.adopt(new Redis(redisUrl), (each) => each.disconnect());
  const deliveries = new EventQueue<DeliveryEvent>();
  await broker.subscribe('deliveries', ({ data }) => deliveries.push(data as DeliveryEvent));
  const authorization = `Bearer ${openIdentity({ service: 'gateway', privateKey: gateway.privateKey }).tokenFor('tracking')}`;
  const town = {
    url: tracking ? tracking.url : '',
    prefix,
    redis,
    deliveries,
    /** The next that it says about an order. */
    said: (order: string) => deliveries.find(`news of ${order}`, (each) => each.order === order, { withinMs: 20_000 }),
    authorization,
    strangersKey: stranger.privateKey,
    env: {
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      REDIS_PREFIX: prefix,
      SERVICE_PUBLIC_KEYS: JSON.stringify(callers),
    },
    order(order: string, version: number, state: State, reason?: string) {
      const event: OrderEvent = { order, version, state, items: [], ...(reason ? { reason } : {}) };
      return broker.publish(envelope('orders', event));
    },
    kitchen: (order: string, type: KitchenEvent['type']) =>
      broker.publish(envelope('kitchen', { order, type } satisfies KitchenEvent)),
    ask: (order: string, headers: Record<string, string> = {}) =>
      fetch(`${town.url}/orders/${order}/events`, { headers: { Authorization: authorization, ...headers } }),
    follow: (order: string, after?: string) =>
      EventQueue.from<Message>(async function* (signal) {
        const headers = { Authorization: authorization, ...(after ? { 'Last-Event-ID': after } : {}) };
        const { body } = await fetch(`${town.url}/orders/${order}/events`, { headers, signal });
        const messages = body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
        for await (const { data, ...message } of messages) yield { ...message, data: JSON.parse(data) } as Message;
      }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return town;
}

function newKeys() {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}
