/**
 * The two questions of whoever runs the server. `/healthz`, is it alive: if not, restart it. `/readyz`, does it want requests:
 * if not, send them elsewhere.
 *
 * Neither asks the database. That is down for all servers at once, and taking all of them out helps nobody.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { HttpProblem } from '@patterns/kit/problem';
import { Router } from 'express';

/** The routes, and `withdraw`: says "not ready" for `noticeMs`, in which a balancer takes this server out. */
export function createReadiness(noticeMs: number): { routes: Router; withdraw: () => Promise<void> } {
  let isReady = true;
  const routes = Router();
  routes.get('/healthz', (_request, response) => void response.json({ status: 'alive' }));
  routes.get('/readyz', (_request, response) => {
    if (!isReady) throw new HttpProblem(503, { detail: 'stopping' });
    response.json({ status: 'ready' });
  });
  return {
    routes,
    async withdraw() {
      isReady = false;
      await delay(noticeMs);
    },
  };
}
