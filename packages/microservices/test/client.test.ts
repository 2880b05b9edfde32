import type { ServerResponse } from 'node:http';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { followOrder, getMenu, getOrder, logIn, placeOrder } from '../client.ts';
import { type Answering, MENU, PIZZA, send, startStub, takesOrders } from './gateway-rig.ts';

const VIEW = { events: '/orders/o-1/events?ticket=t' };

test('an order whose answer got lost is sent again with its key, and what is refused is not', async () => {
  await using gateway = await startStub((response, asked) => {
    if (gateway.asked.length === 1) response.destroy();
    else takesOrders(response, asked);
  });
  const { id, state } = await placeOrder(gateway.url, 'token', PIZZA, { key: 'lunch', deadlineMs: 30_000 });
  expect([gateway.asked.map(({ headers }) => headers['idempotency-key']), state]).toEqual([['lunch', 'lunch'], 'paid']);
  expect(gateway.asked[0]!.headers.authorization).toBe('Bearer token');
  expect((await getOrder(gateway.url, 'token', id)).id).toBe(id);

  const before = gateway.asked.length;
  gateway.answering = (response) => send(response, 422, { title: 'Unprocessable Content', status: 422 });
  await expect(placeOrder(gateway.url, 'token', PIZZA)).rejects.toMatchObject({ code: 'refused', status: 422 });
  gateway.answering = (response) => send(response, 400, { error: 'invalid_grant' });
  await expect(logIn(gateway.url, { name: 'ann', password: 'wrong' })).rejects.toMatchObject({ status: 400 });
  expect(gateway.asked.length).toBe(before + 2);
});

test('a menu that may be out of date says so', async () => {
  await using gateway = await startStub((response) => send(response, 200, { ...MENU, degraded: true }));
  expect(await getMenu(gateway.url)).toEqual({ ...MENU, degraded: true });
});

/** A gateway with these events of an order, each with its place as id; after `n` of them the line is cut, or the stream held open. */
function eventsFrom(events: readonly object[], open: ServerResponse[]): Answering {
  return (response, { headers }) => {
    const after = Number(headers['last-event-id'] ?? 0);
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('retry: 10\n\n');
    open.push(response);
    events.forEach((event, i) => {
      if (i >= after)
        response.write(`id: ${i + 1}\nevent: any\ndata: ${JSON.stringify({ order: 'o-1', ...event })}\n\n`);
    });
  };
}

const state = (name: string) => ({ type: 'state', state: name });
const collect = async (following: AsyncIterable<{ type: string; eventId: string }>) => {
  const seen: string[] = [];
  for await (const { eventId } of following) seen.push(eventId);
  return seen;
};

test('follows across a line that is cut, each event once, and ends with the final state', async () => {
  await using _leaks = noLeaks();
  const open: ServerResponse[] = [];
  await using gateway = await startStub(eventsFrom([state('paid'), state('cooking')], open));
  await using line = await startFaultProxy(gateway.url);
  const seen: string[] = [];
  const following = (async () => {
    for await (const progress of followOrder(line.url, VIEW)) seen.push(`${progress.eventId} ${progress.type}`);
  })();
  await until('both have come', () => seen.length === 2);
  gateway.answering = eventsFrom(
    [state('paid'), state('cooking'), { type: 'weather' }, { type: 'courier', metres: 7 }, state('delivered')],
    open,
  );
  line.cut();
  await following; // ends by itself, although the stream is open
  expect(seen).toEqual(['1 state', '2 state', '4 courier', '5 state']); // a type that nobody knows yet is no error
  expect(gateway.asked.map(({ headers, path }) => [headers['last-event-id'], path])).toEqual([
    [undefined, VIEW.events],
    ['2', VIEW.events],
  ]);
});

test('goes on from where it is told, and starts anew when that is no longer kept', async () => {
  const open: ServerResponse[] = [];
  await using gateway = await startStub(eventsFrom([state('paid'), state('delivered')], open));
  expect(await collect(followOrder(gateway.url, VIEW, { after: '1' }))).toEqual(['2']);
  gateway.answering = (response, asked) => {
    gateway.answering = eventsFrom([state('cancelled')], open);
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.end(`retry: 10\n\nid: \nevent: reset\ndata: {"detail":"gone"}\n\n`);
    expect(asked.headers['last-event-id']).toBe('1');
  };
  expect(await collect(followOrder(gateway.url, VIEW, { after: '1' }))).toEqual(['1']);
});

test('ends when it is over, when it may not follow, and when it is told to', async () => {
  await using gateway = await startStub((response) => response.writeHead(204).end());
  expect(await collect(followOrder(gateway.url, VIEW))).toEqual([]);
  gateway.answering = (response) => send(response, 401, { status: 401 });
  await expect(collect(followOrder(gateway.url, VIEW))).rejects.toMatchObject({ code: 'refused' });
  gateway.answering = eventsFrom([{ ...state('paid'), state: 'eaten' }], []);
  await expect(collect(followOrder(gateway.url, VIEW))).rejects.toMatchObject({ code: 'malformed-event' });
  await expect(collect(followOrder(gateway.url, {}))).rejects.toMatchObject({ code: 'refused' });
  gateway.answering = eventsFrom([state('paid')], []);
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const { eventId } of followOrder(gateway.url, VIEW, { signal: stop.signal })) {
    seen.push(eventId);
    stop.abort();
  }
  expect(seen).toEqual(['1']);
});
