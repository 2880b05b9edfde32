/**
 * What a consumer does with its endpoints: registers and lists them, exchanges their secrets, looks at what could not be
 * delivered, and has it sent again. In production behind its API key, and each consumer sees its own.
 */
import { Router } from 'express';
import type { Pool } from 'pg';
import { listDead, replayDelivery, replayRange } from './dead-letters.ts';
import type { Destinations } from './destination.ts';
import * as endpoints from './endpoints.ts';
import { DELIVERIES, ENDPOINTS } from './protocol.ts';

export function endpointRoutes(pool: Pool, destinations: Destinations): Router {
  const routes = Router();
  routes.post(ENDPOINTS, async (request, response) => {
    const created = await endpoints.createEndpoint(pool, destinations, request.body);
    // The secret is in it: not for any cache.
    response.status(201).location(`${ENDPOINTS}/${created.id}`).set('Cache-Control', 'no-store').json(created);
  });
  routes.get(ENDPOINTS, async (_request, response) => {
    response.json({ endpoints: await endpoints.listEndpoints(pool) });
  });
  routes.get(`${ENDPOINTS}/:id`, async (request, response) => {
    response.json(await endpoints.findEndpoint(pool, request.params.id));
  });
  routes.delete(`${ENDPOINTS}/:id`, async (request, response) => {
    await endpoints.deleteEndpoint(pool, request.params.id);
    response.status(204).end();
  });
  routes.post(`${ENDPOINTS}/:id/disable`, async (request, response) => {
    await endpoints.disableEndpoint(pool, request.params.id, 'disabled by its owner');
    response.json(await endpoints.findEndpoint(pool, request.params.id));
  });
  routes.post(`${ENDPOINTS}/:id/enable`, async (request, response) => {
    response.json(await endpoints.enableEndpoint(pool, request.params.id));
  });
  routes.post(`${ENDPOINTS}/:id/rotate-secret`, async (request, response) => {
    const rotated = await endpoints.rotateSecret(pool, request.params.id, request.body);
    response.set('Cache-Control', 'no-store').json(rotated);
  });
  routes.get(`${ENDPOINTS}/:id/dead`, async (request, response) => {
    response.json({ dead: await listDead(pool, request.params.id) });
  });
  routes.post(`${ENDPOINTS}/:id/replay`, async (request, response) => {
    response.status(202).json({ replayed: await replayRange(pool, request.params.id, request.body) });
  });
  routes.post(`${DELIVERIES}/:id/replay`, async (request, response) => {
    await replayDelivery(pool, request.params.id);
    response.status(202).end();
  });
  return routes;
}
