/**
 * What needs no session, and goes on without Redis: the menu, the page, and the questions of whoever runs the server.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { HttpProblem } from '@patterns/kit/problem';
import { Router } from 'express';
import type { Backing } from './backing.ts';
import { PATHS } from './protocol.ts';

const MENU = { items: ['pizza', 'burger', 'tomato soup'] };
const PAGE = readFileSync(new URL('login.html', import.meta.url), 'utf8');
const SCRIPT = /<script type="module">(.*)<\/script>/s.exec(PAGE)![1]!;

// The page's own script, known by its digest, and no other; and nobody may show the page in a frame and have it clicked on.
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
  `script-src 'sha256-${createHash('sha256').update(SCRIPT).digest('base64')}'`,
].join('; ');

/** The routes, and `withdraw`: from then on `/ready` says no. */
export function publicRoutes({ metrics, redis }: Backing): { routes: Router; withdraw: () => void } {
  let isReady = true;
  const routes = Router();
  routes.get('/', (_request, response) => {
    response.set('Content-Security-Policy', CONTENT_SECURITY_POLICY).type('html').send(PAGE);
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
