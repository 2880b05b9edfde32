/**
 * How the provider is asked: another company, over the internet, with a circuit breaker and a bulkhead of its own, so that its bad
 * day costs us answers and not the service. Nothing is repeated here: who asked us repeats, and knows how long it still matters.
 */
import type { Log } from '@patterns/kit/log';
import { PAYMENTS } from '@patterns/webhooks/protocol';
import type { Deadline } from '../chassis/deadline.ts';
import { type Dependency, openDependency } from '../chassis/dependency.ts';
import { DependencyError } from '../chassis/dependency-error.ts';
import type { ChargeRequest } from '../contracts/payment.ts';

/** On whose behalf: until when it matters, and the span that it belongs to. */
export interface AskedBy {
  readonly deadline: Deadline;
  readonly parent: string | undefined;
}

export interface Provider extends AsyncDisposable {
  /** For metrics. */
  readonly dependency: Dependency;
  /** Pays for an order, once. @returns the payment's id. @throws {DependencyError} when nobody knows whether it did */
  pay(request: ChargeRequest, by: AskedBy): Promise<string>;
  /** Done before is done. @throws {DependencyError} */
  giveBack(payment: string, by: AskedBy): Promise<void>;
}

export interface ProviderOptions {
  url: string;
  /** For one answer. 2 s: it only writes a row; whoever asked us has less patience as a rule, and his deadline counts too. */
  timeoutMs?: number | undefined;
  log: Log;
}

export function openProvider({ url, timeoutMs = 2_000, log }: ProviderOptions): Provider {
  const dependency = openDependency({
    name: 'provider',
    urls: [url],
    timeoutMs,
    maxConcurrent: 50, // some 25 payments a second, when each takes the 2 s
    maxQueued: 50,
    breaker: { failures: 5, openMs: 2_000 },
    retries: 0,
    log,
  });

  async function post(path: string, body: object, headers: Record<string, string>, by: AskedBy) {
    const { deadline, parent } = by;
    return await dependency.call({ method: 'POST', path, body, headers }, { deadline, ...(parent && { parent }) });
  }

  return {
    dependency,
    async pay({ order, amount }, by) {
      const answer = await post(PAYMENTS, { amount, reference: order }, { 'Idempotency-Key': `"${order}"` }, by);
      const { payment } = (answer.body ?? {}) as { payment?: unknown };
      if (answer.status >= 300 || typeof payment !== 'string')
        throw new DependencyError('protocol', 'provider', { status: answer.status });
      return payment;
    },
    async giveBack(payment, by) {
      const { status } = await post(`${PAYMENTS}/${encodeURIComponent(payment)}/refund`, {}, {}, by);
      const isDone = status < 300 || status === 409; // 409: an earlier answer was lost
      if (!isDone) throw new DependencyError('protocol', 'provider', { status });
    },
    [Symbol.asyncDispose]: () => dependency[Symbol.asyncDispose](),
  };
}
