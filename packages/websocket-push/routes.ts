/** What a server of sockets answers to plain HTTP: the login, the tickets, the page, the metrics. */
import { fileURLToPath } from 'node:url';
import type { Log } from '@patterns/kit/log';
import { HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import express from 'express';
import type { Registry } from 'prom-client';
import { PATHS } from './protocol.ts';
import type { Tickets } from './tickets.ts';

const NAME = /^[\p{L}\p{N}_.-]{1,32}$/u;

export function createRoutes({ tickets, registry, log }: { tickets: Tickets; registry: Registry; log: Log }) {
  const app = express().disable('x-powered-by');

  app.post(PATHS.login, express.json({ limit: '1kb' }), async (request, response) => {
    const name: unknown = request.body?.name;
    if (typeof name !== 'string' || !NAME.test(name)) {
      const errors = [{ field: '/name', expected: '1 to 32 letters, digits, dots, dashes or underscores' }];
      throw new HttpProblem(400, { detail: 'who are you?', errors });
    }
    response
      .status(201)
      .set('Cache-Control', 'no-store')
      .json({ session: await tickets.login(name) });
  });
  app.all(PATHS.login, methodNotAllowed('POST'));

  app.post(PATHS.tickets, async (request, response) => {
    const session = /^Bearer ([\w-]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const ticket = session && (await tickets.issue(session));
    if (!ticket) {
      const headers = { 'WWW-Authenticate': 'Bearer' };
      throw new HttpProblem(401, { detail: `no session, or one that has ended: POST ${PATHS.login}`, headers });
    }
    response.status(201).set('Cache-Control', 'no-store').json({ ticket });
  });
  app.all(PATHS.tickets, methodNotAllowed('POST'));

  app.all(PATHS.chat, () => {
    throw new HttpProblem(426, { detail: 'this is a WebSocket', headers: { Upgrade: 'websocket' } });
  });
  app.get('/', (_request, response) => response.sendFile(fileURLToPath(new URL('page.html', import.meta.url))));
  app.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  return app.use(notFound, problemHandler(log));
}
