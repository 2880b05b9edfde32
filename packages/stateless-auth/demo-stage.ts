/**
 * The demo's stage: an issuer, two servers that take its tokens, and a session server with a Redis of its own, each a process; and
 * the lines between them and their client, which show what crosses.
 */
import { randomUUID } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import { createLog } from '@patterns/kit/log';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { startRedis } from '@patterns/services/start-redis';
import { tokenWire } from './demo-wire.ts';
import { startIssuer } from './issuer.ts';
import * as protocol from './protocol.ts';

/** Instead of ten minutes, so that the demo can wait for the end of a token. */
export const LIFE_S = 4;
/** How often server B asks what has been revoked; server A does not ask. Instead of 5 s. */
export const POLL_MS = 400;
/** How long a new key is published before it signs, instead of 10 min; and how long servers keep the keys, instead of 5. */
const KEY_LEAD_MS = 1_000;
const JWKS_MAX_AGE_MS = 400;
/** How long a refresh token may be shown twice, instead of 10 s. */
export const REFRESH_GRACE_MS = 500;

/** Ten times what a process needs to start: the machine may be busy with other things. */
const START_MS = 30_000;

export const JOHN = { name: 'john', password: 'correct horse battery staple' };

export type House = Awaited<ReturnType<typeof openHouse>>;

export async function openHouse({ story, signal, use }: Stage) {
  const postgres = use(await findPostgres({ signal }));
  const redis = use(await startRedis({ signal }));
  const database = use(await createDatabase(postgres.url, 'issuer'));
  const start = (file: string, args: string[], env: Record<string, string>) =>
    use(startProcess(new URL(file, import.meta.url), { args, env: { LOG_LEVEL: 'error', ...env }, signal }));
  const tap = async (name: string) => {
    const wire = tokenWire(story, 'client', name);
    const proxy = use(await startFaultProxy('http://127.0.0.1:1', wire));
    return { wire, proxy, url: proxy.url };
  };
  const lines = {
    issuer: await tap('issuer'),
    a: await tap('server A'),
    b: await tap('server B'),
    session: await tap('session server'),
  };
  const keysLine = await tap('issuer'); // the servers' own way to the issuer: told of in a sentence, and not line by line
  keysLine.wire.isShown = false;

  const issuer = start('issuer.ts', [], {
    DATABASE_URL: database.url,
    ISSUER: lines.issuer.url,
    ACCESS_TOKEN_SECONDS: `${LIFE_S}`,
    KEY_LEAD_MS: `${KEY_LEAD_MS}`,
    REFRESH_GRACE_MS: `${REFRESH_GRACE_MS}`,
  });
  const session = start('session-twin.ts', [], { REDIS_URL: redis.url });
  const issuerUrl = await issuer.url(START_MS);
  lines.issuer.proxy.target(issuerUrl);
  keysLine.proxy.target(issuerUrl);
  const env = {
    ISSUER: lines.issuer.url,
    LEEWAY_SECONDS: '0',
    JWKS_MAX_AGE_MS: `${JWKS_MAX_AGE_MS}`,
    JWKS_COOLDOWN_MS: '100',
  };
  const a = start('server.ts', [keysLine.url], env);
  const b = start('server.ts', [keysLine.url], { ...env, REVOCATION_POLL_MS: `${POLL_MS}` });
  lines.a.proxy.target(await a.url(START_MS));
  lines.b.proxy.target(await b.url(START_MS));
  lines.session.proxy.target(await session.url(START_MS));

  const all = [...Object.values(lines), keysLine];
  const post = async (path: string, init: RequestInit) => {
    const response = await fetch(lines.issuer.url + path, { method: 'POST', ...init, signal });
    return { status: response.status, body: (await response.json().catch(() => undefined)) as unknown };
  };
  const form = async (path: string, fields: Record<string, string>) =>
    await post(path, { body: new URLSearchParams(fields) });

  return {
    lines,
    redis,
    issuer,
    servers: [lines.a.url, lines.b.url],
    /** What the servers asked of the issuer: its keys, and what is revoked. */
    asked: (path: string) => keysLine.wire.requests.get(`GET ${path}`) ?? 0,
    /** As the client's library does it, with both tokens in plain sight. */
    async login(): Promise<protocol.Tokens> {
      const headers = { 'Content-Type': 'application/json' };
      return protocol.readTokens((await post(protocol.LOGIN_PATH, { headers, body: JSON.stringify(JOHN) })).body);
    },
    exchange: (token: string) => form(protocol.TOKEN_PATH, { grant_type: 'refresh_token', refresh_token: token }),
    revoke: (token: string) => form(protocol.REVOKE_PATH, { token }),
    /** Shows a token to a server. @returns the status. */
    async show(token: string, line = lines.a): Promise<number> {
      const headers = { Authorization: `Bearer ${token}` };
      const response = await fetch(line.url + protocol.PROFILE_PATH, { headers, signal });
      await response.arrayBuffer();
      return response.status;
    },
    /** A token that the same issuer made, with the same key, for another service. */
    async tokenForNewsletter(): Promise<string> {
      const log = createLog('newsletter');
      log.level = 'error';
      const audience = 'https://newsletter.example';
      const other = { name: 'jane', password: randomUUID() };
      await using newsletter = await startIssuer({
        databaseUrl: database.url,
        issuer: lines.issuer.url,
        keyLeadMs: KEY_LEAD_MS,
        audience,
        users: [other],
        log,
      });
      const headers = { 'Content-Type': 'application/json' };
      const init = { method: 'POST', headers, body: JSON.stringify(other), signal };
      const response = await fetch(newsletter.url + protocol.LOGIN_PATH, init);
      return protocol.readTokens(await response.json()).access_token;
    },
    /** Does without the lines of what crosses: four hundred of a kind say no more than one. */
    async unseen<T>(work: () => Promise<T>): Promise<T> {
      const shown = all.filter(({ wire }) => wire.isShown);
      for (const { wire } of shown) wire.isShown = false;
      return await work().finally(() => {
        for (const { wire } of shown) wire.isShown = true;
      });
    },
  };
}
