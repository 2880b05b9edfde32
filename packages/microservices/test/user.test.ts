import type { Server } from 'node:http';
import { createServer } from 'node:net';
import { listen } from '@patterns/kit/listen';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { openIdentity } from '../chassis/identity.ts';
import { startUser } from '../user/server.ts';
import * as rig from './gateway-rig.ts';

requirePostgres()('the user service', () => {
  let town: rig.GatewayRig;
  beforeAll(async () => {
    town = await rig.openGatewayRig();
  });
  afterAll(() => town[Symbol.asyncDispose]());

  test('is asked by the gateway and by nobody else', async () => {
    const knock = async (audience: string) => {
      const identity = openIdentity({ service: 'gateway', privateKey: rig.GATEWAY_KEY.privateKey });
      const headers = { Authorization: `Bearer ${identity.tokenFor(audience)}`, 'Content-Type': 'application/json' };
      const body = JSON.stringify(town.ann);
      return (await fetch(`${town.user.url}/login`, { method: 'POST', headers, body })).status;
    };
    expect(await knock('user')).toBe(200);
    expect(await knock('order')).toBe(401); // a token that the order service was shown
    expect((await fetch(`${town.user.url}/login`, { method: 'POST' })).status).toBe(401);
  });

  test('says what is wrong with a sign-up, and takes no name twice', async () => {
    expect(await post(town.url, '/signup', { name: 'bob', password: 'short' })).toMatchObject({
      status: 400,
      body: { errors: [{ field: '/password' }] },
    });
    expect((await post(town.url, '/signup', { ...town.ann, password: 'not the same' })).status).toBe(409);
    expect(await post(town.url, '/login', { ...town.ann, password: 'not the same' })).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
    const { body: tokens } = await post(town.url, '/login', town.ann);
    expect(tokens).toMatchObject({ scope: 'orders', expires_in: 600 });
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
    const next = await rig.read(await fetch(`${town.url}/token`, { method: 'POST', body: form }));
    expect((await rig.order(town.url, next.body.access_token)).status).toBe(201);
  });

  test('scaled to two, loses no login when one of them is killed, and each takes the tokens of the other', async () => {
    await using another = startProcess(new URL('../user/server.ts', import.meta.url), {
      env: {
        DATABASE_URL: town.databaseUrl,
        SERVICE_PUBLIC_KEYS: JSON.stringify({ gateway: rig.GATEWAY_KEY.publicKey }),
        OTEL_EXPORTER_OTLP_ENDPOINT: undefined,
        PORT: '0',
      },
    });
    await using gateway = await town.start({ userUrls: [await another.url(30_000), town.user.url] });
    // A steady flow, three at a time; the kill falls in the middle of it.
    let done = 0;
    const logins = [1, 2, 3].map(async () => {
      const tokens: string[] = [];
      for (let n = 0; n < 4; n++) {
        // By hand: our client would ask again by itself, and hide what the gateway does.
        const { status, body } = await post(gateway.url, '/login', town.ann);
        expect(status).toBe(200);
        tokens.push(body.access_token);
        if (++done === 4) await another.kill();
      }
      return tokens;
    });
    const tokens = (await Promise.all(logins)).flat();
    expect(tokens.length).toBe(12);
    for (const token of [tokens[0]!, tokens.at(-1)!]) expect((await rig.order(gateway.url, token)).status).toBe(201);
  }, 60_000);

  test('waits for a database that is not there yet', async () => {
    await using stack = new AsyncDisposableStack();
    const { url: databaseUrl } = stack.use(await createDatabase(inject('databaseUrl'), 'user'));
    let tries = 0;
    const notYet = createServer((socket) => {
      tries++;
      socket.destroy();
    });
    const { url } = stack.use(await listen(notYet as Server, { graceMs: 100 }));
    await using line = await startFaultProxy(databaseUrl);
    line.target(url);
    const starting = startUser({ databaseUrl: line.url, callers: {}, log: rig.quiet, graceMs: 100 });
    await until('it has tried twice', () => tries >= 2);
    line.target(databaseUrl);
    const user = stack.use(await starting);
    expect((await fetch(`${user.url}/.well-known/jwks.json`)).status).toBe(200);
  });
});

async function post(url: string, path: string, body: object) {
  const headers = { 'Content-Type': 'application/json' };
  return rig.read(await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) }));
}
