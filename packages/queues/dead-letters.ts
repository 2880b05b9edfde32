/**
 * What was given up, over HTTP: to be looked at, and put back once its cause is mended. In production this is for the people who
 * run the service, and behind their login.
 */
import { HttpProblem, methodNotAllowed } from '@patterns/kit/problem';
import express, { type Router } from 'express';
import { DEAD_PATH, type DeadLetter } from './protocol.ts';
import type { Queue } from './queue.ts';

/** @param queues by the names that they have in the paths. */
export function deadLettersRouter(queues: Readonly<Record<string, Queue>>): Router {
  const router = express.Router();

  router.get(DEAD_PATH, async (_request, response) => {
    const lists = Object.entries(queues).map(async ([name, queue]) =>
      (await queue.dead({ limit: 100 })).map(
        ({ id, job, attempts, reason }): DeadLetter => ({ queue: name, id, kind: job?.kind ?? null, attempts, reason }),
      ),
    );
    response.set('Cache-Control', 'no-store').json((await Promise.all(lists)).flat());
  });
  router.all(DEAD_PATH, methodNotAllowed('GET, HEAD'));

  router.post(`${DEAD_PATH}/:queue/:id/redrive`, async (request, response) => {
    const { queue: name, id } = request.params;
    const queue = Object.hasOwn(queues, name) ? queues[name] : undefined;
    if (!queue || (await queue.redrive([id])) === 0)
      throw new HttpProblem(404, { detail: 'there is no such dead job' });
    response.status(204).end();
  });
  router.all(`${DEAD_PATH}/:queue/:id/redrive`, methodNotAllowed('POST'));
  return router;
}
