/**
 * A resource server: whoever shows a good ticket is let in, and the ticket says who it is.
 *
 * Nothing is looked up for that. Any number of these may run, sharing nothing with each other, and each goes on when the issuer
 * is away. The price: it learns of a logout only when the token expires, or from a deny-list (revocation.ts). It ends on SIGTERM,
 * when the requests in flight are answered.
 */
import { createServer } from 'node:http';
import { ConfigError, envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import express from 'express';
import { LRUCache } from 'lru-cache';
import { type JwksOptions, openJwks } from './jwks.ts';
import { createServerMetrics } from './metrics.ts';
import { operationRoutes } from './operation.ts';
import * as protocol from './protocol.ts';
import { requireScope } from './require-scope.ts';
import { type DenyListOptions, openDenyList } from './revocation.ts';
import { createVerifier, type VerifierOptions } from './verifier.ts';

export interface ServerOptions extends Pick<VerifierOptions, 'leewaySeconds' | 'cacheEntries'> {
  /** Where the keys and the deny-list are fetched. */
  issuerUrl: string;
  /** Who must have made a token; by default, who answers at `issuerUrl`. */
  issuer?: string;
  audience?: string;
  port?: number;
  log?: Log;
  jwks?: Omit<JwksOptions, 'url' | 'log'>;
  /** Without it, a token that was revoked is good until it expires. */
  revocation?: false | Omit<DenyListOptions, 'url' | 'log'>;
  graceMs?: number;
}

/** What a user has before changing anything. */
const PREFERENCES: readonly string[] = ['dark mode', 'notifications on'];

/** Starts a server. It starts without the issuer as well, and is ready as soon as it has its keys. */
export async function startServer({
  issuerUrl,
  issuer = issuerUrl,
  audience = protocol.AUDIENCE,
  port,
  log = createLog('profiles'),
  jwks: jwksOptions,
  revocation = false,
  graceMs,
  ...verifierOptions
}: ServerOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const jwks = opened.use(await openJwks({ url: issuerUrl + protocol.JWKS_PATH, log, ...jwksOptions }));
  const denyList =
    revocation && opened.use(await openDenyList({ url: issuerUrl + protocol.REVOKED_PATH, log, ...revocation }));
  const isRevoked = denyList ? (jti: string) => denyList.isRevoked(jti) : undefined;
  const verifier = createVerifier({ issuer, audience, keys: jwks, isRevoked, ...verifierOptions });
  const metrics = createServerMetrics({ jwks, denyList: denyList || undefined, verifier });
  // This service's own data, which needs a store as ever: here the memory of one process, so its twin does not have it. What
  // needs no store is to know who asks.
  const preferencesOf = new LRUCache<string, readonly string[]>({ max: 10_000 });

  const app = express().disable('x-powered-by');
  app.use(
    logRequests(log),
    operationRoutes(metrics.registry, () => jwks.size > 0),
  );

  // #region routes
  const mayRead = requireScope(verifier, 'profile:read', { log, checks: metrics.checks });
  const mayWrite = requireScope(verifier, 'profile:write', { log, checks: metrics.checks });

  app.get(protocol.PROFILE_PATH, mayRead, (_request, response) => {
    const { sub: id, scope } = response.locals.claims as protocol.Claims;
    const preferences = preferencesOf.get(id) ?? PREFERENCES;
    response.set('Cache-Control', 'no-store').json({ id, scope, preferences } satisfies protocol.Profile);
  });
  app.put(protocol.PREFERENCES_PATH, mayWrite, express.json({ limit: '4kb' }), (request, response) => {
    const preferences = readPreferences(request.body);
    preferencesOf.set((response.locals.claims as protocol.Claims).sub, preferences);
    response.json(preferences);
  });
  // #endregion
  app.all(protocol.PROFILE_PATH, methodNotAllowed('GET, HEAD'));
  app.all(protocol.PREFERENCES_PATH, methodNotAllowed('PUT'));
  app.use(notFound, problemHandler(log));

  const { url } = opened.use(await listen(createServer(app), { port, graceMs }));
  const running = opened.move();
  return { url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function readPreferences(body: unknown): string[] {
  const isPreference = (each: unknown) => typeof each === 'string' && each.length > 0 && each.length <= 50;
  if (Array.isArray(body) && body.length <= 20 && body.every(isPreference)) return body as string[];
  throw new HttpProblem(400, { errors: [{ field: '', expected: 'an array of at most 20 strings' }] });
}

if (import.meta.main) {
  await main(async (stack) => {
    const [issuerUrl] = process.argv.slice(2);
    if (!issuerUrl || !URL.canParse(issuerUrl))
      throw new ConfigError('say whose tokens to take: pnpm -C packages/stateless-auth server <url of the issuer>');
    const { ISSUER, REVOCATION_POLL_MS } = process.env;
    const server = await startServer({
      issuerUrl: issuerUrl.replace(/\/$/, ''),
      ...(ISSUER ? { issuer: ISSUER } : {}),
      port: envPort(),
      leewaySeconds: envInteger('LEEWAY_SECONDS', 5, { max: 60 }),
      cacheEntries: envInteger('CACHE_ENTRIES', 10_000),
      jwks: {
        maxAgeMs: envInteger('JWKS_MAX_AGE_MS', 300_000, { min: 1 }),
        cooldownMs: envInteger('JWKS_COOLDOWN_MS', 30_000),
      },
      revocation: REVOCATION_POLL_MS ? { pollMs: envInteger('REVOCATION_POLL_MS', 5_000, { min: 1 }) } : false,
    });
    stack.use(server);
    console.log(`listening on ${server.url}`);
    console.log(
      `with an access token of ${issuerUrl}: curl -i ${server.url}${protocol.PROFILE_PATH} -H "Authorization: Bearer $TOKEN"`,
    );
  });
}
