/**
 * The session as every introduction shows it, runnable beside the sound one. It works, on one server, for one user, until:
 *  - `secure: true` over plain HTTP: the cookie is never set, and no error says so (`SECURE=0` is what everybody does next);
 *  - the store is in this process's memory: a restart logs everybody out, a second server knows nobody, and nothing is ever removed;
 *  - the id stays the same at login: who knows it before, or planted it, is logged in as well;
 *  - the secret is in the source, and in every introduction: whoever reads an id somewhere signs a cookie for it. (With an id of
 *    one's own choice that is good for nothing: express-session makes a new one when it does not know it. But this server writes
 *    ids into its log.)
 *  - a form on any other site may post here: nothing is asked about where a request comes from;
 *  - preferences live in the session, which each request writes back as a whole: of two at once, one is lost;
 *  - the session never ends by itself as long as it is used, and there is no way to end it elsewhere.
 */
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { envPort } from '@patterns/kit/env';
import express from 'express';
import session from 'express-session';

/** The textbook keeps the user in the session. */
type NaiveSession = { user?: { id: number; name: string; preferences: string[] } };

export const NAIVE_SECRET = 'my-secret-key';

export function startNaiveServer({ port = 0, secure = true } = {}): Promise<string> {
  const app = express();
  app.use(
    session({
      secret: NAIVE_SECRET,
      resave: false,
      saveUninitialized: false,
      cookie: { secure },
    }),
  );

  // The textbook logs in John, whoever it is. Here one says who one is, and the password is left out, as there.
  app.post('/login', express.json(), express.urlencoded(), (req, res) => {
    const name = req.body?.name ?? 'John';
    (req.session as NaiveSession).user = { id: 123, name, preferences: ['dark mode', 'notifications on'] };
    console.log(`${name} has logged in, session ${req.sessionID}`);
    res.send('Logged in');
  });

  app.get('/profile', (req, res) => {
    const { user } = req.session as NaiveSession;
    if (user) res.json(user);
    else res.status(401).send('Not logged in');
  });

  app.put('/preferences/:preference', async (req, res) => {
    await delay(20); // whatever a handler has to wait for
    (req.session as NaiveSession).user?.preferences.push(req.params.preference);
    res.sendStatus(204);
  });

  return new Promise((resolve) => {
    const server = app.listen(port, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
}

if (import.meta.main) {
  process.once('disconnect', () => process.exit()); // whoever started us is gone
  process.channel?.unref();
  const url = await startNaiveServer({ port: envPort(), secure: process.env.SECURE !== '0' });
  console.log(`listening on ${url}`);
  console.log(`in another terminal: curl -i -X POST ${url}/login`);
}
