/** What the gateway does with each request: who it is from, whom it is for, and what may be said of the answer. */

import { methodNotAllowed } from '@patterns/kit/problem';
import { readKey } from '@patterns/request-response/protocol';
import express, { type Express, type Request, type Response } from 'express';
import type { Answer } from '../chassis/answer.ts';
import { deadlineOf, newDeadline } from '../chassis/deadline.ts';
import type { CallOptions, Dependency } from '../chassis/dependency.ts';
import { spanOf } from '../chassis/spans.ts';
import * as protocol from '../protocol.ts';
import { type Access, customerOf } from './access.ts';
import type { Admission } from './admission.ts';
import { passOn, understand } from './answers.ts';
import type { Streams } from './events.ts';
import { keepMenu } from './menu.ts';
import { showPage } from './page.ts';
import type { Tickets } from './ticket.ts';

export interface GatewayRouteOptions {
  user: Dependency;
  order: Dependency;
  streams: Streams;
  access: Access;
  tickets: Tickets;
  admission: Admission;
  maxMs: number;
  menuFreshMs: number | undefined;
}

export function gatewayRoutes(options: GatewayRouteOptions): (app: Express) => void {
  const { user, order, streams, access, tickets, admission, maxMs } = options;
  const browsing = admission.admit('browsing');
  const ordering = admission.admit('ordering');
  const limit = protocol.LIMITS.bodyBytes;
  const json = express.json({ limit });

  // Nobody's in particular: all who look at the menu wait for the same request.
  const menu = keepMenu(async () => {
    const answer = await order.call({ method: 'GET', path: protocol.MENU_PATH }, { deadline: newDeadline(maxMs) });
    return understand(protocol.readMenu, answer, order.name);
  }, options.menuFreshMs);

  /** How long this one waits, which trace it belongs to, and who it is. */
  const contextOf = (request: Request, response: Response): CallOptions => ({
    deadline: deadlineOf(request, { maxMs }),
    parent: spanOf(response).traceparent,
    subject: response.locals.claims ? customerOf(response) : undefined,
  });

  /** An order with the ticket to follow it; anything but an order as it is. */
  function sendOrder(response: Response, answer: Answer): void {
    if (answer.status >= 300) {
      passOn(response, answer, order.name);
      return;
    }
    const view = understand(protocol.readOrderView, answer, order.name);
    const events = tickets.pathFor(view.id, customerOf(response));
    response.set({ Location: `${protocol.ORDERS_PATH}/${view.id}`, 'Cache-Control': 'no-store' });
    if (answer.headers['idempotent-replayed']) response.set('Idempotent-Replayed', 'true');
    response.status(answer.status).json({ ...view, events } satisfies protocol.OrderView);
  }

  return (app) => {
    app.use((_request, response, next) => {
      response.set('traceresponse', spanOf(response).traceparent); // where to look this one up [W3C Trace Context 2, draft]
      next();
    });
    app.get('/', browsing, showPage);

    // #region routes
    const doors = [protocol.SIGNUP_PATH, protocol.LOGIN_PATH, protocol.TOKEN_PATH];
    const form = express.urlencoded({ extended: false, limit });
    app.post(doors, ordering, json, form, async (request, response) => {
      const { path } = request;
      const body = path === protocol.TOKEN_PATH ? new URLSearchParams(request.body) : request.body;
      // Done twice, each of them is as done once: user sees to that. So if an instance dies, another one is asked.
      const call = { method: 'POST', path, body, headers: forwardedFor(request), repeatable: true } as const;
      passOn(response, await user.call(call, contextOf(request, response)), user.name);
    });

    app.get(protocol.MENU_PATH, browsing, async (_request, response) => {
      const { menu: shown, ageSeconds } = await menu();
      response.set({ Age: String(ageSeconds), 'Cache-Control': shown.degraded ? 'no-store' : 'public, max-age=5' });
      response.json(shown);
    });

    app.post(protocol.ORDERS_PATH, ordering, access.door, json, async (request, response) => {
      const headers = { 'Idempotency-Key': `"${readKey(request.get('Idempotency-Key'))}"` };
      const body = protocol.readOrderRequest(request.body); // what makes no sense goes no further
      const call = { method: 'POST', path: protocol.ORDERS_PATH, body, headers } as const;
      sendOrder(response, await order.call(call, contextOf(request, response)));
    });
    // #endregion

    app.get(`${protocol.ORDERS_PATH}/:id`, browsing, access.door, async (request, response) => {
      const path = `${protocol.ORDERS_PATH}/${encodeURIComponent(String(request.params.id))}`;
      sendOrder(response, await order.call({ method: 'GET', path }, contextOf(request, response)));
    });

    app.get(`${protocol.ORDERS_PATH}/:id/events`, async (request, response) => {
      const id = String(request.params.id);
      await streams.pipe(request, response, id, tickets.check(id, request.query.ticket));
    });

    app.all([...doors, protocol.ORDERS_PATH], methodNotAllowed('POST'));
    app.all(
      ['/', protocol.MENU_PATH, `${protocol.ORDERS_PATH}/:id`, `${protocol.ORDERS_PATH}/:id/events`],
      methodNotAllowed('GET, HEAD'),
    );
  };
}

/** Who asked us, by the connection: user counts wrong passwords by it. What the client has written there is thrown away. */
function forwardedFor({ socket }: Request): Record<string, string> {
  return { 'X-Forwarded-For': socket.remoteAddress ?? 'unknown' };
}
