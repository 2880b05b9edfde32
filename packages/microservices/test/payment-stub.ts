/**
 * A payment service for tests of those who ask it: it keeps to contracts/payment.ts, counts what it is asked, and fails on demand,
 * for one customer and not for others.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { listen } from '@patterns/kit/listen';
import { type Charge, type ChargeRequest, type ChargeStatus, readChargeRequest } from '../contracts/payment.ts';

export interface Account {
  /** What becomes of the questions to come. `lost`: it is done, and the connection breaks before the answer. `held`: the answer
   *  waits for `release`. */
  behaviour: 'answers' | 'pending' | 'fails' | 'lost' | 'held';
  /** Answers what is held, and goes on answering. */
  release(): void;
  /** Each answers one question that is held, the oldest first. */
  readonly held: (() => void)[];
  /** `charge <order>`, `refund <order>`, in the order of their coming. */
  readonly asked: string[];
  /** What was really done: `succeeded <order>`, ... */
  readonly done: string[];
  /** The most questions about one order that were open at one time. */
  atOnce: number;
}

export interface PaymentStub extends AsyncDisposable {
  readonly url: string;
  of(customer: string): Account;
  charge(order: string): Charge | undefined;
}

export async function startPaymentStub(): Promise<PaymentStub> {
  const charges = new Map<string, Charge>();
  const accounts = new Map<string, Account>();
  const open = new Map<string, number>();

  const accountOf = (customer: string) => {
    let account = accounts.get(customer);
    if (!account) {
      account = { behaviour: 'answers', asked: [], done: [], atOnce: 0, held: [], release };
      accounts.set(customer, account);
    }
    return account;

    function release(): void {
      account!.behaviour = 'answers';
      for (const answer of account!.held.splice(0)) answer();
    }
  };

  const settle = ({ order, customer, amount }: ChargeRequest, isRefund: boolean): Charge => {
    const before = charges.get(order)?.status;
    let status: ChargeStatus = before ?? (amount > 50_000 ? 'declined' : 'succeeded');
    if (isRefund)
      status = before === undefined || before === 'void' ? 'void' : before === 'declined' ? before : 'refunded';
    if (status !== before) accountOf(customer).done.push(`${status} ${order}`);
    const charge = { order, customer, amount, status, ...(status === 'declined' ? { reason: 'too much' } : {}) };
    charges.set(order, charge);
    return charge;
  };

  const server = createServer((request, response) => {
    json(request).then(
      (body) => answer(readChargeRequest(body), request, response),
      () => response.destroy(), // cut off
    );
  });
  const answer = (question: ChargeRequest, request: IncomingMessage, response: ServerResponse) => {
    const isRefund = request.url!.endsWith('/refund');
    const { order } = question;
    const account = accountOf(question.customer);
    account.asked.push(`${isRefund ? 'refund' : 'charge'} ${order}`);
    open.set(order, (open.get(order) ?? 0) + 1);
    account.atOnce = Math.max(account.atOnce, open.get(order)!);
    response.once('close', () => open.set(order, open.get(order)! - 1));
    const { behaviour } = account;
    if (behaviour === 'fails') return send(response, 503, { status: 503 });
    if (behaviour === 'pending')
      return send(response, 202, { ...question, status: isRefund ? 'refunding' : 'pending' });
    const charge = settle(question, isRefund);
    if (behaviour === 'lost') response.destroy();
    else if (behaviour === 'held') account.held.push(() => send(response, 200, charge));
    else send(response, 200, charge);
  };
  const listening = await listen(server, { graceMs: 100 });
  return {
    url: listening.url,
    of: accountOf,
    charge: (order) => charges.get(order),
    [Symbol.asyncDispose]: () => listening.close(),
  };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}
