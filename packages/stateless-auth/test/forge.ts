/** What the tests of verifiers share: an issuer that is nothing but a key and a JWKS endpoint, and signs whatever it is told. */
import { generateKeyPairSync, type KeyObject, randomUUID, sign as signBytes } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { createLog } from '@patterns/kit/log';
import { AUDIENCE } from '../protocol.ts';
import { type ServerOptions, startServer } from '../server.ts';
import type { KeySource } from '../verifier.ts';

export const ISSUER = 'https://issuer.example';

export const quiet = createLog('test');
quiet.silent = true;

/** A log that writes nothing, and what it would have written. */
export function recordedLog() {
  const log = createLog('test');
  const lines: Record<string, unknown>[] = [];
  for (const transport of log.transports) transport.silent = true;
  log.on('data', (line) => lines.push(line));
  return { log, lines };
}

export function makeKey(kid = 'key-1') {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { kid, privateKey, publicKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' } };
}

export type Key = ReturnType<typeof makeKey>;

export function sourceOf(...keys: Key[]): KeySource & { keys: Key[] } {
  const peek = (kid: string) => keys.find((key) => key.kid === kid)?.publicKey;
  return { keys, peek, find: async (kid) => peek(kid) };
}

export const nowSeconds = () => Math.floor(Date.now() / 1_000);

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** The claims of a good token; `undefined` leaves one out. */
export function claims(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const now = nowSeconds();
  const good = { iss: ISSUER, aud: AUDIENCE, sub: 'user-1', jti: randomUUID(), iat: now, exp: now + 600 };
  return { ...good, scope: 'profile:read profile:write', ...changes };
}

export const header = (changes: Record<string, unknown> = {}) => ({
  alg: 'ES256',
  typ: 'at+jwt',
  kid: 'key-1',
  ...changes,
});

/** Signs by hand, so that header and payload may be anything. */
export function forge(privateKey: KeyObject, head: unknown = header(), payload: unknown = claims()): string {
  const signed = `${encode(head)}.${encode(payload)}`;
  const signature = signBytes('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

/** Header and payload with a signature of one's own making. */
export function assemble(head: unknown, payload: unknown, signature: (signed: string) => Buffer | string): string {
  const signed = `${encode(head)}.${encode(payload)}`;
  const made = signature(signed);
  return `${signed}.${typeof made === 'string' ? made : made.toString('base64url')}`;
}

/** An HTTP server that counts what it is asked. */
export async function openEndpoint(answer: RequestListener) {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    answer(request, response);
  });
  const listening = await listen(server, { graceMs: 0 });
  return {
    url: listening.url,
    get requests() {
      return requests;
    },
    [Symbol.asyncDispose]: () => listening.close(),
  };
}

/** An issuer's public side: its keys and its deny-list, both to be changed while it runs. */
export async function openPublisher(...keys: Key[]) {
  const publisher = { keys, revoked: [] as string[], jwksRequests: 0, revokedRequests: 0 };
  const endpoint = await openEndpoint(({ url }, response) => {
    response.setHeader('Content-Type', 'application/json');
    if (url === '/revoked') {
      publisher.revokedRequests++;
      response.end(JSON.stringify({ revoked: publisher.revoked }));
    } else {
      publisher.jwksRequests++;
      response.end(JSON.stringify({ keys: publisher.keys.map(({ jwk }) => jwk) }));
    }
  });
  return Object.assign(publisher, { url: endpoint.url, [Symbol.asyncDispose]: endpoint[Symbol.asyncDispose] });
}

/** A resource server that takes the tokens of `key`. */
export async function openServer(key: Key, options: Partial<ServerOptions> = {}) {
  await using stack = new AsyncDisposableStack();
  const publisher = stack.use(await openPublisher(key));
  const server = stack.use(await startServer({ issuerUrl: publisher.url, issuer: ISSUER, log: quiet, ...options }));
  const resources = stack.move();
  const get = (token: string, path = '/profile') =>
    fetch(server.url + path, { headers: { Authorization: `Bearer ${token}` } });
  return { url: server.url, publisher, get, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
