/**
 * What the order service answers to the gateway, which asks on behalf of a customer: the `subject` of its token.
 */
import { inTransaction } from '@patterns/connection-pooling/transaction';
import type { Log } from '@patterns/kit/log';
import { HttpProblem, methodNotAllowed } from '@patterns/kit/problem';
import { sayFull } from '@patterns/queues/refusals';
import { sendRepresentation } from '@patterns/request-response/conditional';
import { once } from '@patterns/request-response/idempotency';
import type { Menu } from '@patterns/request-response/menu';
import { readKey } from '@patterns/request-response/protocol';
import express, { type Response, Router } from 'express';
import type { Database } from '../chassis/database.ts';
import { type Deadline, deadlineOf, shrink } from '../chassis/deadline.ts';
import { callerOf } from '../chassis/identity.ts';
import { spanOf } from '../chassis/spans.ts';
import { LIMITS, MENU_PATH, ORDERS_PATH, readOrderRequest } from '../protocol.ts';
import { findOrder, insertOrder, type Order, viewOf } from './orders.ts';
import type { SagaRunner } from './saga-runner.ts';

export interface RouteOptions {
  database: Database;
  menu: Menu;
  saga: SagaRunner;
  /** An order was placed, so there is a message to send. */
  onPlaced: () => void;
  log: Log;
  /** A request takes no longer, whatever its caller would allow: the saga needs nobody who waits. */
  maxMs: number;
}

/** What is kept back to write down what came of it, and to answer. */
const RESERVE_MS = 300;

export function orderRoutes({ database, menu, saga, onPlaced, log, maxMs }: RouteOptions): Router {
  const router = Router();
  router.get(MENU_PATH, (request, response) => sendRepresentation(request, response, menu.all));
  router.all(MENU_PATH, methodNotAllowed('GET, HEAD'));

  // #region place
  router.post(ORDERS_PATH, express.json({ limit: LIMITS.bodyBytes }), async (request, response) => {
    const customer = customerOf(response);
    const key = readKey(request.get('Idempotency-Key'));
    const payload = readOrderRequest(request.body);
    const deadline = deadlineOf(request, { maxMs });
    const { traceparent } = spanOf(response);
    // The order, its key and the message that it is placed, in one transaction. Nobody else is asked within it.
    let placed: Order | undefined;
    const { location, isReplay } = await inTransaction(database, (client) =>
      once(client, { scope: `POST ${ORDERS_PATH} ${customer}`, key, payload }, async () => {
        placed = await insertOrder(client, { customer, request: payload, leaseMs: saga.leaseMs, traceparent });
        return { status: 201, location: `${ORDERS_PATH}/${placed.id}`, body: '' }; // how it stands is asked each time
      }),
    );
    if (placed) onPlaced();
    const order = placed
      ? await firstStep(placed, shrink(deadline, RESERVE_MS))
      : await findOrder(database, location.slice(ORDERS_PATH.length + 1));
    // 202: taken, and nobody knows yet whether it will be cooked [RFC 9110 §15.3.3].
    const isOpen = order?.state === 'placed' || order?.state === 'awaiting-payment';
    if (isReplay) response.set('Idempotent-Replayed', 'true');
    response
      .status(isOpen ? 202 : 201)
      .location(location)
      .set('Cache-Control', 'no-store')
      .json(viewOf(order!));
  });

  async function firstStep(order: Order, deadline: Deadline): Promise<Order> {
    try {
      return await saga.advance(order, deadline);
    } catch (error) {
      // It is placed, and that is what counts: the saga goes on when its lease ends.
      log.warn('the first step is left to the background', { order: order.id, error });
      return order;
    }
  }
  // #endregion
  router.all(ORDERS_PATH, methodNotAllowed('POST'));

  router.get(`${ORDERS_PATH}/:id`, async (request, response) => {
    const order = await findOrder(database, request.params.id);
    // Somebody else's is not there either: that it exists is nobody's business.
    if (order?.customer !== customerOf(response)) throw new HttpProblem(404, { detail: 'there is no such order' });
    response.set('Cache-Control', 'no-store').json(viewOf(order));
  });
  router.all(`${ORDERS_PATH}/:id`, methodNotAllowed('GET, HEAD'));

  router.use(sayFull(() => {})); // the outbox: what is to be said cannot be said any more
  return router;
}

/** @throws {HttpProblem} 403 when the caller speaks for nobody. */
function customerOf(response: Response): string {
  const { subject } = callerOf(response);
  if (subject === undefined) throw new HttpProblem(403, { detail: 'an order is somebody’s' });
  return subject;
}
