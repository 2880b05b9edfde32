/**
 * A ticket to follow one order: a browser's EventSource can send no token, and an access token in a URL would stand in logs and
 * histories, good for everything. A ticket stands there too, but all it opens for an hour is where one pizza is.
 *
 * It is signed with the gateway's own key, so every gateway takes those of every other, and none of them looks anything up.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { HttpProblem } from '@patterns/kit/problem';
import jwt from 'jsonwebtoken';
import { ORDERS_PATH } from '../protocol.ts';

/** Longer than an order takes. Who follows for longer asks for the order once more, and gets another. */
const LIFE_SECONDS = 3_600;
/** No service's name: a ticket is no service token, although the same key has signed it. */
const AUDIENCE = 'ticket:order-events';

export interface Tickets {
  /** The path, ticket and all, under which an order is followed. */
  pathFor(order: string, customer: string): string;
  /** On whose behalf it is followed. @throws {HttpProblem} 401 when the ticket is not for this order, or not any more. */
  check(order: string, ticket: unknown): string;
}

/** @param privateKey PEM, P-256 */
export function openTickets(privateKey: string): Tickets {
  const signing = createPrivateKey(privateKey);
  const verifying = createPublicKey(signing);
  return {
    pathFor(order, customer) {
      const claims = { audience: AUDIENCE, subject: customer, expiresIn: LIFE_SECONDS };
      const ticket = jwt.sign({ order }, signing, { algorithm: 'ES256', ...claims });
      return `${ORDERS_PATH}/${encodeURIComponent(order)}/events?ticket=${ticket}`;
    },
    check(order, ticket) {
      try {
        const claims = jwt.verify(String(ticket), verifying, { algorithms: ['ES256'], audience: AUDIENCE });
        if (typeof claims === 'object' && claims.order === order && claims.sub && claims.exp) return claims.sub;
      } catch {
        // Forged, expired or missing: all the same to whoever shows it.
      }
      throw new HttpProblem(401, {
        detail: 'the ticket is not good: ask for the order, and there is another',
        headers: { 'WWW-Authenticate': 'Bearer realm="food"' },
      });
    },
  };
}
