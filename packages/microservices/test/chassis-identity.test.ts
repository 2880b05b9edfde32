import jwt from 'jsonwebtoken';
import { request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callerOf, openIdentity, requireService } from '../chassis/identity.ts';
import { serve } from '../chassis/service.ts';
import { log, makeKey } from './stage.ts';

const [order, gateway, stranger] = [makeKey(), makeKey(), makeKey()];
let payment: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  payment = await serve({
    name: 'payment',
    log,
    routes: (app) => {
      app.use(requireService({ audience: 'payment', callers: { order: order.publicKey } }));
      app.get('/', (_request, response) => void response.json(callerOf(response)));
    },
  });
});
afterAll(() => payment.close());

const sign = (claims: jwt.SignOptions, key: string | Buffer = order.privateKey) =>
  jwt.sign({}, key, {
    algorithm: 'ES256',
    issuer: 'order',
    audience: 'payment',
    subject: 'ann',
    expiresIn: 60,
    ...claims,
  });

async function ask(token?: string) {
  const answer = await request(
    payment.url,
    token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } },
  );
  return { status: answer.statusCode, challenge: answer.headers['www-authenticate'], body: await answer.body.json() };
}

test('a service that may call is let in, and who it acts for is known', async () => {
  const identity = openIdentity({ service: 'order', privateKey: order.privateKey });
  expect((await ask(identity.tokenFor('payment', 'ann'))).body).toEqual({ service: 'order', subject: 'ann' });
  expect((await ask(identity.tokenFor('payment'))).body).toEqual({ service: 'order' });
});

test('without a token nobody is let in, wherever he calls from', async () => {
  expect(await ask()).toMatchObject({ status: 401, challenge: 'Bearer realm="payment"' });
});

const forgeries: [string, () => string][] = [
  ['for somebody else', () => openIdentity({ service: 'order', privateKey: order.privateKey }).tokenFor('kitchen')],
  ['that is over', () => sign({ expiresIn: -60 })],
  [
    'of a service that may not call',
    () => openIdentity({ service: 'gateway', privateKey: gateway.privateKey }).tokenFor('payment'),
  ],
  ["of a service under another one's name", () => sign({}, gateway.privateKey)],
  ['under a name that nobody has', () => sign({ issuer: 'kitchen' })],
  ['with a key that nobody knows', () => sign({}, stranger.privateKey)],
  [
    'that never ends',
    () => jwt.sign({ iss: 'order', aud: 'payment', sub: 'ann' }, order.privateKey, { algorithm: 'ES256' }),
  ],
  [
    'without a signature',
    () => jwt.sign({ iss: 'order', aud: 'payment', sub: 'ann' }, '', { algorithm: 'none', expiresIn: 60 }),
  ],
  [
    'signed with the public key as if it were a secret',
    () => {
      const [head, body] = [
        { alg: 'HS256', typ: 'JWT' },
        { iss: 'order', aud: 'payment', sub: 'ann', exp: 2e9 },
      ];
      const text = [head, body].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
      const { createHmac } = process.getBuiltinModule('node:crypto');
      return `${text}.${createHmac('sha256', order.publicKey).update(text).digest('base64url')}`;
    },
  ],
  ['that is none', () => 'abc'],
];

test.for(forgeries)('a token %s is refused', async ([, make]) => {
  expect(await ask(make())).toMatchObject({ status: 401, challenge: expect.stringContaining('error="invalid_token"') });
});
