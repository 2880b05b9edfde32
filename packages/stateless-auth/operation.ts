/**
 * The two questions of whoever runs a server. `/live`: if not, restart it. `/ready`: if not, send requests elsewhere.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { Router } from 'express';
import type { Registry } from 'prom-client';

/** The routes of both, and `/metrics`. None of them asks another service: what is down for all servers must not take all of them out. */
export function operationRoutes(registry: Registry, isReady: () => boolean): Router {
  const routes = Router();
  routes.get('/live', (_request, response) => void response.json({ status: 'alive' }));
  routes.get('/ready', (_request, response) => {
    if (!isReady()) throw new HttpProblem(503, { detail: 'not ready' });
    response.json({ status: 'ready' });
  });
  routes.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  return routes;
}
