/**
 * The waiter who remembers you: after the login the browser holds a random number, and what it stands for is kept in Redis, where each
 * of the servers finds it.
 *
 * Unlike a signed token the number means nothing without the server. That costs a question to Redis with each request, and gives the
 * server the last word: a session ends when it is told to, at every server, with the next request.
 */
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import { findPostgres } from '@patterns/services/postgres';
import { findRedis } from '@patterns/services/redis';
import express from 'express';
import { type BackingOptions, openBacking } from './backing.ts';
import { refuseCrossSite } from './csrf.ts';
import { certificateFromEnv, secretsOrMadeUp } from './environment.ts';
import { sessionEvents } from './events.ts';
import { readLogin } from './login-body.ts';
import { CHALLENGE, DEMO_USER, PATHS, parsePreference } from './protocol.ts';
import { publicRoutes } from './public-routes.ts';
import { handleOf } from './session-data.ts';
import { sayUnavailable } from './unavailable.ts';

export interface ServerOptions extends Omit<BackingOptions, 'log'> {
  port?: number;
  log?: Log;
  /** How long a stream of events may outlive its session. */
  recheckMs?: number;
  graceMs?: number;
}

/** Who sends the headers, or all of a request, more slowly than this holds a connection for nothing. Node's own are 60 and 300 s, looked
 *  at every 30 s. */
const TIMEOUTS = { headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 };

/** Opens a server. Any number of them may share one Redis, one database and the secrets. */
export async function startServer({
  port,
  log = createLog('stateful-auth'),
  recheckMs = 5_000,
  graceMs,
  ...options
}: ServerOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const backing = await openBacking(opened, { ...options, log });
  const { users, sessions, store, loginLimit, metrics } = backing;
  const events = sessionEvents({ store, recheckMs });
  const pages = publicRoutes(backing);

  const app = express()
    .disable('x-powered-by')
    .disable('etag')
    .set('trust proxy', options.trustProxy ?? 0);
  app.use(logRequests(log), refuseCrossSite, pages.routes);

  // #region login
  app.post(PATHS.login, ...sessions.anyone, ...readLogin, ...loginLimit.check, async (request, response) => {
    const userId = await users.authenticate(request.body);
    metrics.logins.inc({ outcome: userId === undefined ? 'wrong' : 'right' });
    // The same words whether the name exists or not, after the same work (users.ts).
    if (userId === undefined) throw new HttpProblem(401, { detail: 'name or password is wrong', headers: CHALLENGE });
    await loginLimit.forgive(request);
    await sessions.signIn(request, response, userId);
    if (request.is('urlencoded'))
      response.redirect(303, '/'); // a form, without JavaScript
    else response.json(await users.find(userId));
  });

  app.post(PATHS.logout, ...sessions.anyone, async (request, response) => {
    await sessions.signOut(request, response);
    response.status(204).end();
  });

  app.post(PATHS.logoutEverywhere, ...sessions.user, async (request, response) => {
    response.json({ ended: await sessions.signOutEverywhere(request, response) });
  });
  // #endregion

  app.get(PATHS.profile, ...sessions.user, async (request, response) => {
    const profile = await users.find(request.session.userId!);
    if (!profile) throw new HttpProblem(401, { detail: 'there is no such user any more', headers: CHALLENGE });
    response.json(profile);
  });

  app.put(PATHS.preference, ...sessions.user, async (request, response) => {
    const isKept = await users.prefer(request.session.userId!, parsePreference(request.params.preference));
    if (!isKept) throw new HttpProblem(409, { detail: 'that is one preference too many' });
    response.status(204).end();
  });

  app.delete(PATHS.preference, ...sessions.user, async (request, response) => {
    await users.forget(request.session.userId!, parsePreference(request.params.preference));
    response.status(204).end();
  });

  app.get(PATHS.sessions, ...sessions.user, async (request, response) => {
    const own = handleOf(request.sessionID);
    const found = await store.sessionsOf(request.session.userId!);
    const items = found.map(({ handle, signedInAt }) => ({ signedInAt, isThisOne: handle === own }));
    response.json({ items });
  });
  app.get(PATHS.events, ...sessions.user, events.stream);

  app.all([PATHS.login, PATHS.logout, PATHS.logoutEverywhere], methodNotAllowed('POST'));
  app.all([PATHS.profile, PATHS.sessions, PATHS.events], methodNotAllowed('GET, HEAD'));
  app.all(PATHS.preference, methodNotAllowed('PUT, DELETE'));
  app.use(notFound, sayUnavailable, problemHandler(log));

  const { tls } = options;
  const server = tls ? createTlsServer({ ...TIMEOUTS, ...tls }, app) : createServer(TIMEOUTS, app);
  const listening = opened.use(await listen(server, { port, graceMs }));
  listening.closing.addEventListener('abort', events.endAll);
  opened.defer(pages.withdraw);
  const running = opened.move();
  return { url: listening.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const secrets = secretsOrMadeUp(console.log);
    const trustProxy = envInteger('TRUST_PROXY', 0, { max: 10 });
    const perAccount = envInteger('LOGIN_ATTEMPTS', 5, { min: 1 });
    const tls = await certificateFromEnv(stack);
    const { url: redisUrl } = stack.use(await findRedis({ progress: console.log, signal }));
    const { url: databaseUrl } = stack.use(await findPostgres({ progress: console.log, signal }));
    const server = stack.use(
      await startServer({
        redisUrl,
        ...(process.env.REDIS_PREFIX ? { redisPrefix: process.env.REDIS_PREFIX } : {}),
        databaseUrl,
        secrets,
        port: envPort(),
        tls: tls?.certificate,
        trustProxy,
        loginAttempts: { perAccount, perAddress: 20 * perAccount },
      }),
    );
    const trust = tls ? ` --cacert ${tls.file}` : '';
    console.log(`listening on ${server.url}`);
    console.log(
      `the cookie is ${tls || trustProxy > 0 ? '__Host-sid, with Secure' : 'sid, without Secure: this is plain HTTP'}`,
    );
    console.log(`in another terminal: curl -i${trust} ${server.url}${PATHS.profile}`);
    console.log(
      `                 or: ${tls ? `NODE_EXTRA_CA_CERTS=${tls.file} ` : ''}pnpm -C packages/stateful-auth client ${server.url}`,
    );
    console.log(`                 or open ${server.url}/ in a browser: ${DEMO_USER.name}, ${DEMO_USER.password}`);
  });
}
