/**
 * The server process of the stateful-auth benchmark: `node stateful-auth-server.ts <contestant>`. All answer `GET /profile` to who
 * has logged in, and differ in where they remember that.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { connectRedis } from '@patterns/stateful-auth/redis-connection';
import { startServer } from '@patterns/stateful-auth/server';
import { RedisSessionStore } from '@patterns/stateful-auth/session-store';
import { PROFILE_PATH, type Profile } from '@patterns/stateless-auth/protocol';
import express from 'express';
import session, { type Store } from 'express-session';
import { answer } from './processes.ts';

const { REDIS_URL: redisUrl = '', DATABASE_URL: databaseUrl = '' } = process.env;

const SECRET = 'as long as a secret has to be, and made for a benchmark';

const profile: Profile = { id: 'user', scope: 'profile:read profile:write', preferences: [] };

/** The few lines that one writes with express-session, done right. */
function serve(store: Store) {
  const app = express().disable('etag').disable('x-powered-by');
  app.use(session({ name: 'sid', secret: SECRET, store, resave: false, saveUninitialized: false }));
  app.post('/login', (request, response, next) => {
    request.session.regenerate((error) => {
      Object.assign(request.session, { userId: 7, signedInAt: Date.now() });
      if (error) next(error);
      else response.sendStatus(204);
    });
  });
  app.get(PROFILE_PATH, (request, response) => {
    if (request.session.userId === undefined) response.sendStatus(401);
    else response.json(profile);
  });
  return listen(createServer(app));
}

const contestants = {
  'a session in memory': () => serve(new session.MemoryStore()),
  async 'a session in Redis, our store'() {
    const redis = connectRedis(redisUrl);
    await once(redis, 'ready');
    return await serve(new RedisSessionStore({ redis, prefix: 'bench:' }));
  },
  'a session in Redis, our server': () => startServer({ redisUrl, databaseUrl, secrets: [SECRET] }),
} satisfies Record<string, () => Promise<{ url: string }>>;

export type Contestant = keyof typeof contestants;

const { url } = await contestants[process.argv[2] as Contestant]();

const handlers = { url: () => url };
export type SessionServer = typeof handlers;
answer(handlers);
