/**
 * The saga of an order: a transaction over the databases of four services, which there is no such thing as.
 *
 *     step                                      undone by
 *     payment is asked to charge                asking it to refund
 *     the kitchen hears `paid`, and cooks       its hearing `cancelling`: it throws away what it has
 *     a courier picks it up                     nothing, and so it comes last
 *
 * Where an order stands is a row; each step forward is one update of it, together with the message that says so (orders.ts). What
 * went wrong is undone in reverse: the kitchen hears `cancelling` in the same transaction that writes it, then the money goes
 * back. A step may be done twice, after a crash or a lost answer: so each is asked under the order's id, and the second time does
 * nothing. An undoing is repeated until it is done; there is nothing to undo it with.
 */
import type { DeliveryEvent, KitchenEvent } from '../contracts/events.ts';
import type { ChargeStatus } from '../contracts/payment.ts';
import type { State } from '../protocol.ts';

export type Word = KitchenEvent['type'] | DeliveryEvent['type'];

/** What payment may be asked. */
export type Question = 'charge' | 'refund';

export interface Limits {
  /** From the first attempt to charge to the first one to give the money back. */
  readonly payWithinMs: number;
  /** From `paid` to the kitchen's word. */
  readonly acceptWithinMs: number;
}

export interface Stage {
  /** What payment is asked, again and again, until its answer leads on. */
  readonly asks?: Question;
  /** Where the order goes when payment does not answer, or does not know. Default: it stays. */
  readonly unsure?: State;
  /** Where a word of the kitchen's or a courier's leads. One that is not here changes nothing: it is late, or comes again. */
  readonly hears?: Readonly<Partial<Record<Word, State>>>;
  /** It does not stay so for longer than that: then it is cancelled. */
  readonly within?: keyof Limits;
}

// #region saga
export const SAGA: Readonly<Record<State, Stage>> = {
  placed: { asks: 'charge', unsure: 'awaiting-payment' },
  'awaiting-payment': { asks: 'charge', within: 'payWithinMs' },
  // Messages overtake each other: who has cooked it has accepted it, and who has delivered it had picked it up.
  paid: { hears: { accepted: 'cooking', cooked: 'cooking', refused: 'cancelling' }, within: 'acceptWithinMs' },
  // From here on nothing is undone: the courier sets off when he has heard of `cooking`.
  cooking: { hears: { 'picked-up': 'on-the-way', delivered: 'delivered' } },
  'on-the-way': { hears: { delivered: 'delivered' } },
  cancelling: { asks: 'refund' },
  delivered: {},
  rejected: {},
  cancelled: {},
};

/** Where payment's answer leads. `pending` and `refunding` lead nowhere: payment does not know yet, and is asked again. */
export const LEADS_TO: Readonly<Record<Question, Readonly<Partial<Record<ChargeStatus, State>>>>> = {
  // The last two: somebody has given it back already. It will not be charged any more, and the saga ends as it should.
  charge: { succeeded: 'paid', declined: 'rejected', refunded: 'cancelling', void: 'cancelling' },
  refund: { refunded: 'cancelled', void: 'cancelled', declined: 'cancelled' },
};
// #endregion

/** Why an order is cancelled that has waited for too long. */
export const TOO_LATE: Readonly<Record<keyof Limits, string>> = {
  payWithinMs: 'it could not be paid in time',
  acceptWithinMs: 'the kitchen did not answer in time',
};
