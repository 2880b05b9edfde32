/**
 * The issuer: the one place that knows passwords, and the one that can make tokens.
 *
 * It is asked at login, every ten minutes after that, and at logout. All other requests go to servers that never ask it. It ends
 * on SIGTERM; tokens that it has made stay good without it. SIGUSR2 makes it change its key.
 */
import { createServer } from 'node:http';
import { repeat } from '@patterns/kit/background';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import express, { type RequestHandler } from 'express';
import { listRevoked, signAccessToken } from './access-tokens.ts';
import { openDatabase, openPool } from './database.ts';
import { type GrantRouteOptions, grantRoutes } from './grant-routes.ts';
import { openKeyRing } from './keys.ts';
import { createIssuerMetrics } from './metrics.ts';
import { operationRoutes } from './operation.ts';
import * as protocol from './protocol.ts';
import { type RefreshTokenOptions, RefreshTokens } from './refresh-tokens.ts';
import { openUsers } from './users.ts';
import { createVerifier, MAX_LEEWAY_SECONDS } from './verifier.ts';

export interface IssuerOptions extends Pick<GrantRouteOptions, 'scopes' | 'signUp' | 'maxFailedLogins'> {
  databaseUrl: string;
  /** To the database, at most. */
  connections?: number;
  port?: number;
  log?: Log;
  /** How it calls itself in tokens; by default its URL. */
  issuer?: string;
  audience?: string;
  /** 10 min: as long, a stolen token can be used, and one that was logged out. Shorter is more requests to the issuer. */
  accessTokenSeconds?: number;
  refresh?: RefreshTokenOptions;
  /** How long a new key is published before it signs: twice as long as verifiers keep the set (5 min). */
  keyLeadMs?: number;
  rotateEveryMs?: number;
  /** Created unless they are there. */
  users?: readonly { readonly name: string; readonly password: string }[];
  /** Comes before all but the public keys. Whom it lets pass is believed in `X-Forwarded-For` who the client is. */
  door?: RequestHandler;
  graceMs?: number;
}

export interface Issuer extends AsyncDisposable {
  readonly url: string;
  /** Publishes a new key now, which signs after `keyLeadMs`. */
  rotate(): Promise<void>;
}

/** How soon a key that is due is made, and one that was deleted by hand is published no more. */
const KEY_CHECK_MS = 60_000;
const SWEEP_MS = 600_000;
/** For caches between us and the verifiers. */
const JWKS_MAX_AGE_SECONDS = 300;
const DAY_MS = 24 * 3_600_000;

export async function startIssuer({
  databaseUrl,
  connections,
  port,
  log = createLog('issuer'),
  issuer,
  audience = protocol.AUDIENCE,
  accessTokenSeconds = 600,
  refresh,
  keyLeadMs = 600_000,
  rotateEveryMs = 30 * DAY_MS,
  users: initialUsers = [],
  door,
  graceMs,
  ...grants
}: IssuerOptions): Promise<Issuer> {
  // What is opened first is closed last: requests in flight finish before the pool ends.
  await using opened = new AsyncDisposableStack();
  const pool = opened.adopt(await openPool(databaseUrl, connections), (each) => each.end());
  const retireMs = (accessTokenSeconds + MAX_LEEWAY_SECONDS) * 1_000;
  const keys = await openKeyRing(pool, { leadMs: keyLeadMs, retireMs, rotateEveryMs });
  const metrics = createIssuerMetrics();
  const users = openUsers(pool, () => metrics.hashes.inc());
  for (const { name, password } of initialUsers) await users.create(name, password);
  const refreshTokens = new RefreshTokens(pool, accessTokenSeconds, refresh);

  const app = express().disable('x-powered-by');
  const server = createServer(app);
  const { url, closing } = opened.use(await listen(server, { port, graceMs }));
  const signing = { keys, issuer: issuer ?? url, audience, lifeSeconds: accessTokenSeconds };
  const verifier = createVerifier({ ...signing, cacheEntries: 0 });

  app.use(
    logRequests(log),
    operationRoutes(metrics.registry, () => !closing.aborted),
  );
  app.get(protocol.JWKS_PATH, (_request, response) => {
    response.set('Cache-Control', `public, max-age=${JWKS_MAX_AGE_SECONDS}`).json(keys.jwks);
  });
  if (door) app.set('trust proxy', 1).use(door);
  app.get(protocol.REVOKED_PATH, async (_request, response) => {
    const revoked = await listRevoked(pool);
    response.set('Cache-Control', 'no-cache').json({ revoked } satisfies protocol.RevokedList); // Express answers 304
  });
  app.use(
    grantRoutes({
      pool,
      users,
      refreshTokens,
      verifier,
      metrics,
      log,
      ...grants,
      tokens: ({ jti, userId, scope, refreshToken }) => ({
        access_token: signAccessToken(signing, { jti, userId, scope }),
        token_type: 'Bearer',
        expires_in: accessTokenSeconds,
        refresh_token: refreshToken,
        scope,
      }),
    }),
  );
  app.all([protocol.JWKS_PATH, protocol.REVOKED_PATH], methodNotAllowed('GET, HEAD'));
  app.all([protocol.LOGIN_PATH, protocol.TOKEN_PATH, protocol.REVOKE_PATH], methodNotAllowed('POST'));
  app.use(notFound, problemHandler(log));

  opened.use(repeat(KEY_CHECK_MS, () => keys.refresh(), log));
  opened.use(repeat(SWEEP_MS, () => refreshTokens.sweep(), log));
  const running = opened.move();
  return { url, rotate: () => keys.rotate(), [Symbol.asyncDispose]: () => running.disposeAsync() };
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const john = { name: 'john', password: 'correct horse battery staple' };
    const issuer = await startIssuer({
      databaseUrl: await openDatabase(stack, signal),
      port: envPort(),
      ...(process.env.ISSUER ? { issuer: process.env.ISSUER } : {}),
      accessTokenSeconds: envInteger('ACCESS_TOKEN_SECONDS', 600, { min: 1 }),
      refresh: { graceMs: envInteger('REFRESH_GRACE_MS', 10_000) },
      keyLeadMs: envInteger('KEY_LEAD_MS', 600_000),
      users: [john],
    });
    stack.use(issuer);
    process.on('SIGUSR2', () => void issuer.rotate().catch((error) => console.error('key not changed:', error)));
    console.log(`listening on ${issuer.url}`);
    console.log(
      `in another terminal: curl ${issuer.url}${protocol.LOGIN_PATH} -H 'Content-Type: application/json' -d '${JSON.stringify(john)}'`,
    );
    console.log(`and in a third, as often as you like: pnpm -C packages/stateless-auth server ${issuer.url}`);
    console.log(`it changes its key: kill -USR2 ${process.pid}`);
  });
}
