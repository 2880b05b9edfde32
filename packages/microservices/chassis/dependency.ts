/**
 * One service as another one calls it. Each dependency has a bulkhead, a breaker and connections of its own, so that one which is
 * slow or gone takes nothing from the others:
 *
 *     bulkhead ─► breaker ─► attempts: deadline, identity, trace, failover to the next instance, retries within a budget
 *
 * The breaker counts calls, not attempts: that one of two instances was killed is nothing that a caller should notice. What the
 * callee refuses (4xx) is an answer, and its own fault (5xx) is an error.
 */
import type { Log } from '@patterns/kit/log';
import { RetryBudget } from '@patterns/request-response/retry';
import { bulkhead, CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import { Agent } from 'undici';
import type { Answer } from './answer.ts';
import { attempts, type Call } from './attempts.ts';
import type { Deadline } from './deadline.ts';
import { DependencyError } from './dependency-error.ts';
import type { Identity } from './identity.ts';

export interface DependencyOptions {
  name: string;
  /** Of its instances. Asked in turn; one that cannot be reached is left alone for a while. */
  urls: readonly string[];
  /** Whom our tokens are for. Without `identity` none is sent: the callee is another company's. */
  audience?: string;
  identity?: Identity;
  /** Of one attempt. */
  timeoutMs: number;
  /** Calls under way at a time. The next ones wait, up to `maxQueued`; beyond that they fail at once. */
  maxConcurrent?: number;
  maxQueued?: number;
  /** Opens after so many failures in a row, and lets one call try after `openMs`. */
  breaker?: { failures: number; openMs: number };
  /** At most 2: three attempts. 0 where a layer above repeats: retries on two layers multiply. */
  retries?: number;
  log: Log;
}

export interface CallOptions {
  deadline: Deadline;
  /** The `traceparent` of the caller's span. */
  parent?: string | undefined;
  /** The customer on whose behalf. */
  subject?: string | undefined;
}

export interface Dependency extends AsyncDisposable {
  readonly name: string;
  readonly state: 'closed' | 'open' | 'half-open';
  /** Resolves with any answer below 500. @throws {DependencyError} @throws the deadline's reason, when the caller has left */
  call(call: Call, options: CallOptions): Promise<Answer>;
}

const STATES = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Isolated]: 'open',
} as const;

/** Opens a dependency. Nothing is connected before the first call. */
export function openDependency({
  name,
  urls,
  audience = name,
  identity,
  timeoutMs,
  maxConcurrent = 50,
  maxQueued = 0,
  breaker = { failures: 5, openMs: 2_000 },
  retries = 2,
  log,
}: DependencyOptions): Dependency {
  // #region policies
  const slots = bulkhead(maxConcurrent, maxQueued);
  // A call that was given up by its caller says nothing about the callee; but as a probe it has proved nothing either.
  const isFailure = (error: unknown) =>
    (error instanceof DependencyError && error.isFault) || circuit.state === CircuitState.HalfOpen;
  const circuit = circuitBreaker(handleWhen(isFailure), {
    breaker: new ConsecutiveBreaker(breaker.failures),
    halfOpenAfter: breaker.openMs,
  });
  // #endregion
  circuit.onStateChange((state) => log.warn('breaker', { dependency: name, state: STATES[state] }));
  const agent = new Agent({ connect: { timeout: Math.min(1_000, timeoutMs) }, keepAliveTimeout: 30_000 });
  const attempt = attempts({ name, urls, audience, identity, timeoutMs, retries, agent, budget: new RetryBudget() });

  return {
    name,
    get state() {
      return STATES[circuit.state];
    },
    async call(call, options) {
      const { signal } = options.deadline;
      // Behind a probe cockatiel would have the others wait: they are told at once.
      const probed = () => {
        if (circuit.state === CircuitState.HalfOpen) throw new DependencyError('open', name);
        return circuit.execute(() => attempt(call, options));
      };
      // In the bulkhead's queue nobody looks at the deadline.
      const over = Promise.withResolvers<never>();
      const onAbort = () => over.reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        signal.throwIfAborted();
        return await Promise.race([slots.execute(probed, signal), over.promise]);
      } catch (error) {
        throw DependencyError.from(error, name);
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
    // What is still under way is cut: who asked is gone as well.
    [Symbol.asyncDispose]: () => agent.destroy(),
  };
}
