/**
 * What needs no session, and goes on without Redis: the menu, the page, and the questions of whoever runs the server.
 */
import { fileURLToPath } from 'node:url';
import { HttpProblem } from '@patterns/kit/problem';
import { Router } from 'express';
import type { Backing } from './backing.ts';
import { PATHS } from './protocol.ts';

const MENU = { items: ['pizza', 'burger', 'tomato soup'] };
const PAGE = fileURLToPath(new URL('login.html', import.meta.url));

// The page holds its script itself; nothing else may run in it. And nobody may show it in a frame and have it clicked on.
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'";

/** The routes, and `withdraw`: from then on `/ready` says no. */
export function publicRoutes({ metrics, redis }: Backing): { routes: Router; withdraw: () => void } {
  let isReady = true;
  const routes = Router();
  routes.get('/', (_request, response) => {
    response.set('Content-Security-Policy', CONTENT_SECURITY_POLICY).sendFile(PAGE);
  });
  routes.get(PATHS.menu, (_request, response) => void response.json(MENU));

  // Restart me if this does not answer. It asks nobody: that Redis is away is no reason to restart servers.
  routes.get('/live', (_request, response) => void response.json({ status: 'alive' }));
  // Send me requests? Also without Redis: it is away for all servers at once, and the public routes go on.
  routes.get('/ready', (_request, response) => {
    if (!isReady) throw new HttpProblem(503, { detail: 'stopping' });
    response.json({ status: 'ready', sessions: redis.status === 'ready' ? 'available' : 'unavailable' });
  });
  routes.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  return {
    routes,
    withdraw() {
      isReady = false;
    },
  };
}
