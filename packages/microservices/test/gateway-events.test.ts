import type { ServerResponse } from 'node:http';
import { until, within } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTickets } from '../gateway/ticket.ts';
import * as rig from './gateway-rig.ts';

requirePostgres()('the stream of an order, through the gateway', () => {
  let town: rig.GatewayRig;
  beforeAll(async () => {
    town = await rig.openGatewayRig();
  });
  afterAll(() => town[Symbol.asyncDispose]());

  const tickets = openTickets(rig.GATEWAY_KEY.privateKey);
  const pathOf = (order: string) => tickets.pathFor(order, 'ann');

  /** Follows; tracking's side of it is in `response`. */
  async function follow(order: string, { url = town.url, headers = {} as Record<string, string> } = {}) {
    const line = new AbortController();
    let response: ServerResponse | undefined;
    town.tracking.answering = (each) => {
      each.writeHead(200, { 'Content-Type': 'text/event-stream', Connection: 'close' });
      each.flushHeaders();
      response = each;
    };
    const answer = await fetch(url + pathOf(order), { headers, signal: line.signal });
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    return { answer, reader, leave: () => line.abort(), response: response!, asked: town.tracking.asked.at(-1)! };
  }

  test('is passed on as it comes, with the place where the customer left off', async () => {
    const { answer, reader, response, asked, leave } = await follow('o-1', { headers: { 'Last-Event-ID': '17-0' } });
    expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(answer.headers.get('cache-control')).toContain('no-transform');
    expect([asked.path, asked.headers['last-event-id']]).toEqual(['/orders/o-1/events', '17-0']);
    // Each before the next one is sent: nothing on the way waits for more.
    for (const event of ['id: 18-0\nevent: state\ndata: {}\n\n', ':\n\n']) {
      response.write(event);
      expect(await within('the event', 10_000, reader.read())).toEqual({ done: false, value: event });
    }
    response.end();
    expect(await reader.read()).toMatchObject({ done: true });
    leave();
  });

  test('is cut on the other side as well, whichever side goes', async () => {
    const one = await follow('o-1');
    one.leave();
    expect(await within('tracking hears of it', 10_000, one.asked.closed)).toBe(false);

    const other = await follow('o-1');
    other.response.destroy(); // a reset: what has come is not known to be all
    await expect(other.reader.read()).rejects.toThrow();
  });

  test('is cut when the gateway stops, at once, and is not begun any more', async () => {
    const gateway = await town.start({ graceMs: 60_000 });
    const { reader } = await follow('o-1', { url: gateway.url });
    const cut = expect(reader.read()).rejects.toThrow();
    await within('the gateway stops', 10_000, Promise.resolve(gateway[Symbol.asyncDispose]()));
    await cut;
  });

  test('needs a ticket for this order', async () => {
    const asked = town.tracking.asked.length;
    const stranger = openTickets(rig.makeKeys().privateKey).pathFor('o-1', 'ann');
    const paths = [
      '/orders/o-1/events',
      pathOf('o-2').replace('o-2', 'o-1'),
      stranger,
      `/orders/o-1/events?ticket=${town.token}`, // an access token is not one
    ];
    for (const path of paths) {
      const { status, body } = await rig.read(await fetch(town.url + path));
      expect([path, status, body.status]).toEqual([path, 401, 401]);
    }
    expect(town.tracking.asked.length).toBe(asked);
  });

  test('is over, or unknown, or not to be had: as tracking says', async () => {
    const answers = async (status: number, headers: Record<string, string> = {}) => {
      town.tracking.answering = (response) =>
        status === 204 ? void response.writeHead(204).end() : rig.send(response, status, { status }, headers);
      const answer = await rig.read(await fetch(town.url + pathOf('o-1')));
      return [answer.status, answer.headers.get('retry-after')];
    };
    expect(await answers(204)).toEqual([204, null]);
    expect(await answers(404)).toEqual([404, null]);
    expect(await answers(503, { 'Retry-After': '5' })).toEqual([503, '5']);
    await using gateway = await town.start({ trackingUrl: 'http://127.0.0.1:1' });
    const away = await rig.read(await fetch(gateway.url + pathOf('o-1')));
    expect([away.status, away.body.detail, away.headers.get('retry-after')]).toEqual([
      503,
      'tracking is not available',
      '2',
    ]);
  });

  test('is refused beyond so many, which take no room from orders', async () => {
    await using gateway = await town.start({ maxStreams: 2, maxInFlight: 1 });
    const open = [await follow('o-1', { url: gateway.url }), await follow('o-2', { url: gateway.url })];
    const { status, body } = await rig.read(await fetch(gateway.url + pathOf('o-3')));
    expect([status, body.detail]).toEqual([503, 'too many streams are open']);
    expect((await rig.order(gateway.url, town.token)).status).toBe(201);
    open[0]!.leave();
    await until('one has left', async () => (await gauge(gateway.url)) === '1');
    for (const { leave } of [await follow('o-3', { url: gateway.url }), open[1]!]) leave();
  });
});

const gauge = async (url: string) =>
  /^gateway_streams_open\{.*\} (\d+)$/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1];
