/**
 * The questions of whoever runs a server. `/live`: is it alive? If not, restart it. `/ready`: does it want requests? If not, send
 * them elsewhere. Neither asks the database: that is down for all servers at once, and taking all of them out helps nobody.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { Router } from 'express';
import type { Registry } from 'prom-client';

/** `/live`, `/ready` and `/metrics`. */
export function probes(registry: Registry, isClosing: () => boolean): Router {
  const router = Router();
  router.get('/live', (_request, response) => void response.json({ status: 'alive' }));
  router.get('/ready', (_request, response) => {
    if (isClosing()) throw new HttpProblem(503, { detail: 'stopping' });
    response.json({ status: 'ready' });
  });
  router.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  return router;
}
