import { requirePostgres } from '@patterns/services/testing';
import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { USER_AUDIENCE } from '../contracts/user.ts';
import { startGateway } from '../gateway/server.ts';
import * as rig from './gateway-rig.ts';

requirePostgres()('the gateway', () => {
  let town: rig.GatewayRig;
  beforeAll(async () => {
    town = await rig.openGatewayRig();
  });
  afterAll(() => town[Symbol.asyncDispose]());

  const get = async (path: string, headers: Record<string, string> = {}) =>
    rig.read(await fetch(town.url + path, { headers: { Authorization: `Bearer ${town.token}`, ...headers } }));
  const lastAsked = () => town.order.asked.at(-1)!;

  test('passes an order on in its own name, for the customer, with less time than it has itself', async () => {
    const theirs = '00-11111111111111111111111111111111-2222222222222222-01';
    const headers = { 'Idempotency-Key': 'lunch', traceparent: theirs, 'Deadline-Ms': '9000' };
    const { status, body, headers: answered } = await rig.order(town.url, town.token, { headers });
    expect(status).toBe(201);
    expect([answered.get('location'), answered.get('cache-control')]).toEqual([`/orders/${body.id}`, 'no-store']);
    expect(body).toEqual({
      ...rig.viewOf(body.id),
      events: expect.stringContaining(`/orders/${body.id}/events?ticket=`),
    });

    const asked = lastAsked();
    const customer = jwt.decode(town.token)!.sub;
    const token = jwt.verify(asked.headers.authorization!.split(' ')[1]!, rig.GATEWAY_KEY.publicKey);
    expect(token).toMatchObject({ iss: 'gateway', aud: 'order', sub: customer });
    expect([asked.headers['idempotency-key'], JSON.parse(asked.body)]).toEqual(['"lunch"', rig.PIZZA]);
    expect(Number(asked.headers['deadline-ms'])).toBeGreaterThan(0);
    expect(Number(asked.headers['deadline-ms'])).toBeLessThan(9_000);
    // A trace of our own, which the customer is told: what they sent is a span that nobody here has seen.
    const [, traceId, spanId] = answered.get('traceresponse')!.split('-');
    expect(asked.headers.traceparent).toContain(traceId);
    expect(asked.headers.traceparent).not.toContain(spanId); // the call is a span of its own
    expect(traceId).not.toBe(theirs.split('-')[1]);
  });

  test('refuses what cannot be right before anybody else is asked', async () => {
    const before = town.order.asked.length;
    const keyless = { headers: { 'Idempotency-Key': '' } };
    const refusals = [
      await rig.order(town.url, 'nobody'),
      await rig.order(town.url, town.token, keyless),
      await rig.order(town.url, town.token, { body: { items: [{ dish: 'pizza', quantity: 0.5 }], address: 'x' } }),
      await rig.order(town.url, town.token, { headers: { 'Deadline-Ms': 'soon' } }),
      await rig.order(town.url, town.token, { body: 'x'.repeat(20_000) }),
    ];
    expect(refusals.map(({ status, body }) => [status, body.errors?.[0].field])).toEqual([
      [401, undefined],
      [400, 'Idempotency-Key'],
      [400, '/items/0/quantity'],
      [400, 'Deadline-Ms'],
      [413, undefined],
    ]);
    expect(refusals[0]!.headers.get('www-authenticate')).toMatch(/^Bearer realm="food"/);
    const deleted = await fetch(`${town.url}/orders`, { method: 'DELETE' });
    expect([deleted.status, deleted.headers.get('allow')]).toEqual([405, 'POST']);
    expect((await get('/kitchen')).status).toBe(404);
    expect(town.order.asked.length).toBe(before);
  });

  test('passes on what order has against a request, and nothing of how order is built', async () => {
    const answers = async (status: number, body: object, headers: Record<string, string> = {}) => {
      town.order.answering = (response) => rig.send(response, status, body, { 'X-Powered-By': 'secrets', ...headers });
      const answer = await rig.order(town.url, town.token, { headers: { 'Deadline-Ms': '900' } });
      town.order.answering = rig.takesOrders;
      expect(answer.headers.get('x-powered-by')).toBeNull();
      return [answer.status, answer.body, answer.headers.get('retry-after')];
    };
    const other = { title: 'Unprocessable Entity', status: 422, detail: 'another order' };
    expect(await answers(422, other)).toEqual([422, other, null]);
    expect(await answers(409, { status: 409 }, { 'Retry-After': '7' })).toEqual([409, { status: 409 }, '7']);
    const failed = { title: 'Bad Gateway', status: 502, detail: 'order failed' };
    expect(await answers(500, { stack: 'at secret.ts:1' })).toEqual([502, failed, null]);
    expect(await answers(201, { hello: 'what' })).toEqual([502, failed, null]); // it has broken its contract
    expect(await answers(401, { detail: 'who are you' })).toEqual([502, failed, null]); // it is us whom it does not know
    const away = { title: 'Service Unavailable', status: 503, detail: 'order is not available' };
    expect(await answers(503, {}, { 'Retry-After': '9' })).toEqual([503, away, '9']);
  });

  test('shows an order to whom order shows it', async () => {
    const { body } = await rig.order(town.url, town.token);
    const shown = await get(`/orders/${body.id}`);
    expect(shown).toMatchObject({ status: 200, body: { ...rig.viewOf(body.id), events: expect.any(String) } });
    town.order.answering = (response) => rig.send(response, 404, { title: 'Not Found', status: 404 });
    expect(await get('/orders/another')).toMatchObject({ status: 404, body: { status: 404 } });
    town.order.answering = rig.takesOrders;
  });

  test('checks tokens by itself: with no user service left, whoever is logged in goes on', async () => {
    const keys = { status: 200, body: await (await fetch(`${town.user.url}/.well-known/jwks.json`)).json() };
    await using user = await rig.startStub((response) => rig.send(response, keys.status, keys.body));
    await using gateway = await town.start({ userUrls: ['http://127.0.0.1:1', user.url] }); // the first was never there
    await user[Symbol.asyncDispose]();
    expect(await rig.order(gateway.url, town.token)).toMatchObject({ status: 201 });
    const login = await fetch(`${gateway.url}/login`, { method: 'POST' });
    expect([login.status, await login.json()]).toMatchObject([503, { detail: 'user is not available' }]);
  });

  test('is ready when it can check tokens, and finds the keys by itself when user comes up late', async () => {
    await using user = await rig.startStub((response) => rig.send(response, 503, {}));
    await using gateway = await town.start({ userUrls: [user.url] });
    expect((await fetch(`${gateway.url}/ready`)).status).toBe(503);
    expect((await fetch(`${gateway.url}/live`)).status).toBe(200); // to restart it would help nobody
    const body = await (await fetch(`${town.user.url}/.well-known/jwks.json`)).json();
    user.answering = (response) => rig.send(response, 200, body);
    await expect.poll(async () => (await fetch(`${gateway.url}/ready`)).status, { timeout: 10_000 }).toBe(200);
  });

  test('says to user who knocks, by the connection and not by what the customer has written', async () => {
    await using user = await rig.startStub((response) => rig.send(response, 200, {}));
    await using gateway = await town.start({ userUrls: [user.url] });
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x' });
    const headers = { 'X-Forwarded-For': '203.0.113.9' };
    await fetch(`${gateway.url}/token`, { method: 'POST', body: form, headers });
    const asked = user.asked.at(-1)!;
    expect(asked).toMatchObject({ path: '/token', body: form.toString(), headers: { 'x-forwarded-for': '127.0.0.1' } });
    expect(jwt.decode(asked.headers.authorization!.split(' ')[1]!)).toMatchObject({
      aud: USER_AUDIENCE,
      sub: 'gateway',
    });
  });

  test('does not start without a key of its own', async () => {
    await expect(startGateway({ userUrls: [], orderUrls: [], trackingUrl: '', privateKey: 'none' })).rejects.toThrow();
  });
});
