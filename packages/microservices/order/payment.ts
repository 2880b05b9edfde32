/**
 * Asking the payment service, and understanding its answer. Nothing is repeated here: the saga does that, and retries in two
 * layers multiply. Every question names the order, so that asking twice does what asking once does.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { Deadline } from '../chassis/deadline.ts';
import type { Dependency } from '../chassis/dependency.ts';
import { DependencyError } from '../chassis/dependency-error.ts';
import { CHARGES_PATH, type Charge, type ChargeRequest, readCharge, refundPath } from '../contracts/payment.ts';
import type { Order } from './orders.ts';
import type { Question } from './saga.ts';

/** What payment says of an order; undefined with the reason why nothing is known. */
export type Said = { readonly charge: Charge } | { readonly charge: undefined; readonly reason: string };

/** What a customer is told while nobody knows. */
const NO_ANSWER = 'the payment service does not answer: we go on asking, and you need not';
const NOT_ASKED = 'the payment service is in trouble and is left alone for a moment: we go on by ourselves';
const NOT_SETTLED = 'the payment is under way';

/** Asks once, and never throws for what payment does or leaves undone. `parent` is a traceparent. */
export async function askPayment(
  payment: Dependency,
  question: Question,
  { id, customer, total }: Order,
  { deadline, parent }: { deadline: Deadline; parent: string },
): Promise<Said> {
  const body: ChargeRequest = { order: id, customer, amount: total };
  const path = question === 'charge' ? CHARGES_PATH : refundPath(id);
  try {
    const answer = await payment.call({ method: 'POST', path, body }, { deadline, parent, subject: customer });
    if (answer.status !== 200 && answer.status !== 202) return unknown(`payment answered ${answer.status}`);
    const charge = readCharge(answer.body);
    // An answer about something else, or of another amount, is none.
    if (charge.order !== id || charge.amount !== total) return unknown('payment answered for another charge');
    return { charge };
  } catch (error) {
    if (error instanceof DependencyError && (error.code === 'open' || error.code === 'full')) return unknown(NOT_ASKED);
    // The deadline's own error is one of these: the customer may have left, and the order is still to be paid.
    if (error instanceof DependencyError || deadline.signal.aborted) return unknown(NO_ANSWER);
    if (error instanceof HttpProblem) return unknown('payment gave an answer that is not understood');
    throw error;
  }
}

export const waitingFor = (said: Said): string => ('reason' in said ? said.reason : NOT_SETTLED);

const unknown = (reason: string): Said => ({ charge: undefined, reason });
