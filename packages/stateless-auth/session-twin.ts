/**
 * The same profile behind a session in Redis: the other answer to the same question, here only for the demo's comparison. That
 * pattern, with all that belongs to it, is in ../stateful-auth.
 *
 * Each request asks Redis who is asking. So a logout bites at once, everywhere; and when Redis is away, nobody is anybody: 503.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { envPort, envUrl } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, problemHandler } from '@patterns/kit/problem';
import express, { type ErrorRequestHandler } from 'express';
import session, { type SessionData, Store } from 'express-session';
import { Redis } from 'ioredis';

declare module 'express-session' {
  interface SessionData {
    userName?: string;
  }
}

type Callback<T = void> = (error?: unknown, value?: T) => void;

const LIFE_S = 1_800;

/** As much of a store as this file needs. */
class TwinStore extends Store {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    super();
    this.#redis = redis;
  }

  override get(id: string, callback: Callback<SessionData | null>): void {
    const parse = (text: string | null) => (text === null ? null : (JSON.parse(text) as SessionData));
    void this.#redis.get(id).then((text) => callback(null, parse(text)), callback);
  }

  override set(id: string, data: SessionData, callback: Callback = () => {}): void {
    void this.#redis.set(id, JSON.stringify(data), 'EX', LIFE_S).then(() => callback(), callback);
  }

  override destroy(id: string, callback: Callback = () => {}): void {
    void this.#redis.del(id).then(() => callback(), callback);
  }
}

/** Nobody becomes anonymous because Redis is away. */
const isAway: ErrorRequestHandler = (cause, _request, _response, next) => {
  next(new HttpProblem(503, { detail: 'sessions are away', headers: { 'Retry-After': '1' }, cause }));
};

export async function startSessionTwin(redis: Redis, port?: number): Promise<Listening> {
  const app = express().disable('x-powered-by').disable('etag');
  const secret = randomBytes(32).toString('base64url');
  const store = new TwinStore(redis);
  app.use(session({ name: 'sid', secret, store, resave: false, saveUninitialized: false }), isAway);
  app.post('/login', (request, response) => {
    request.session.userName = 'john';
    response.sendStatus(204);
  });
  app.get('/profile', ({ session: { userName } }, response) => {
    if (userName === undefined) throw new HttpProblem(401);
    response.json({ name: userName });
  });
  app.post('/logout', (request, response, next) => {
    request.session.destroy((error) => (error ? next(error) : response.sendStatus(204)));
  });
  app.use(problemHandler(createLog('session-twin')));
  return listen(createServer(app), { port });
}

if (import.meta.main) {
  await main(async (stack) => {
    const url = envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: 'a Redis for the sessions' });
    // A request is answered within half a second, whatever has become of Redis.
    const redis = stack.adopt(new Redis(url, { maxRetriesPerRequest: 0, commandTimeout: 500 }), (r) => r.disconnect());
    redis.on('error', () => {}); // each command that it broke has failed by itself
    console.log(`listening on ${stack.use(await startSessionTwin(redis, envPort())).url}`);
  });
}
