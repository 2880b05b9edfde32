/**
 * Takes the steps of the saga: in the request that places an order, and in the background for all that are due, whoever placed them.
 *
 * Any number of instances share the work. An order that is taken is due again when the lease ends, so that the saga of a killed
 * instance goes on at another one. Two that are at one order all the same, after a pause longer than the lease, ask payment twice
 * under one id, and only the first of them finds the version that it wants to change.
 */
import { inTransaction } from '@patterns/connection-pooling/transaction';
import type { Log } from '@patterns/kit/log';
import { backoffMs } from '@patterns/request-response/retry';
import type { Database } from '../chassis/database.ts';
import { type Deadline, newDeadline } from '../chassis/deadline.ts';
import type { Dependency } from '../chassis/dependency.ts';
import type { State } from '../protocol.ts';
import { type Change, changeState, claimDue, findOrder, type Order, postpone } from './orders.ts';
import { askPayment, waitingFor } from './payment.ts';
import { LEADS_TO, type Limits, SAGA, TOO_LATE } from './saga.ts';

export interface SagaOptions {
  database: Database;
  payment: Dependency;
  limits: Limits;
  log: Log;
  /** An order was moved, so there is a message to send. */
  onMoved: () => void;
  /** For one question in the background. */
  stepMs?: number;
  /** How often to look for what is due. */
  lookEveryMs?: number;
  /** Steps at a time: fewer than payment is asked at a time, so that repetitions never keep a new order waiting. */
  concurrency?: number;
}

export interface SagaRunner extends AsyncDisposable {
  /** In which a step that was begun is over: after it, an order that nobody has moved is anybody's. */
  readonly leaseMs: number;
  /** Takes the one step that `order` is at, within `deadline`. @returns the order as it is then. */
  advance(order: Order, deadline: Deadline): Promise<Order>;
  /** There may be something due: look now. */
  wake(): void;
}

/** Longer than a step, for what is written down after it. */
const LEASE_RESERVE_MS = 3_000;

/** Runs sagas until it is disposed; then the steps that were begun are finished first. */
export function startSagaRunner({
  stepMs = 2_000,
  lookEveryMs = 250,
  concurrency = 4,
  ...options
}: SagaOptions): SagaRunner {
  const { database, payment, limits, log, onMoved } = options;
  const leaseMs = stepMs + LEASE_RESERVE_MS;

  // #region advance
  async function advance(order: Order, deadline: Deadline): Promise<Order> {
    const { asks, unsure, within } = SAGA[order.state];
    if (within && order.waitedMs >= limits[within]) return move(order, 'cancelling', TOO_LATE[within]);
    if (!asks) return order;
    const said = await askPayment(payment, asks, order, { deadline, parent: order.traceparent });
    // Killed here, the order is as it was, and whoever takes it next asks again.
    const next = (said.charge && LEADS_TO[asks][said.charge.status]) ?? unsure;
    if (next) return move(order, next, next === unsure ? waitingFor(said) : said.charge?.reason);
    log.info('the saga waits', { order: order.id, state: order.state, attempt: order.attempts, why: waitingFor(said) });
    await postpone(database, order, backoffMs(order.attempts, null));
    return order;
  }
  // #endregion

  async function move(order: Order, to: State, reason: string | undefined): Promise<Order> {
    const change: Change = { to, reason, dueInMs: dueInMs(to, limits) };
    const moved = await inTransaction(database, (client) => changeState(client, order, change));
    onMoved();
    if (moved && change.dueInMs === 0) wake();
    return moved ?? (await findOrder(database, order.id)) ?? order; // somebody else was sooner: how it stands now
  }

  let isStopping = false;
  let woken = Promise.withResolvers<void>();
  const wake = () => {
    woken.resolve();
    woken = Promise.withResolvers();
  };
  const steps = new Set<Promise<unknown>>();
  const run = async () => {
    while (!isStopping) {
      const { promise } = woken; // before the look: what comes in during it must not be slept through
      const free = concurrency - steps.size;
      const orders = free > 0 ? await claimDue(database, free, leaseMs).catch(standStill) : [];
      for (const order of orders) begin(order);
      if (!isStopping) await promise;
    }
    await Promise.all(steps);
  };
  const begin = (order: Order) => {
    const step: Promise<unknown> = advance(order, newDeadline(stepMs))
      .catch(standStill)
      .finally(() => {
        steps.delete(step);
        wake(); // there is room for the next one
      });
    steps.add(step);
  };
  const standStill = (error: unknown) => {
    log.warn('a saga stands still until it is looked at again', { error });
    return [];
  };
  const looking = setInterval(wake, lookEveryMs);
  const running = run();

  return {
    leaseMs,
    advance,
    wake,
    async [Symbol.asyncDispose]() {
      isStopping = true;
      clearInterval(looking);
      wake();
      await running;
    },
  };
}

/** When the saga looks at an order that has just come into `state`; undefined: never, unless somebody says something. */
export function dueInMs(state: State, limits: Limits): number | undefined {
  const { asks, within } = SAGA[state];
  if (asks) return state === 'cancelling' ? 0 : backoffMs(0, null);
  return within && limits[within];
}
