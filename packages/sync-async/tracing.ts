/**
 * The trace that the current work belongs to, without handing it through every call: it follows over each `await`, timer and
 * callback (AsyncLocalStorage). It does not follow into another process, nor into a thread, nor through a table: there it has
 * to be written down (`traceparent` of a job), and taken up again (`worker.ts`).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { continueTrace, type Trace, traceOf } from '@patterns/kit/trace';

const current = new AsyncLocalStorage<Trace>();

/** Runs `work`, and whatever it starts, in a trace. */
export function inTrace<T>(trace: Trace, work: () => T): T {
  return current.run(trace, work);
}

/** The trace of the work that calls this; outside of any, a new one. */
export function currentTrace(): Trace {
  return current.getStore() ?? continueTrace(undefined);
}

/** Middleware: each request is handled in its own trace. */
export function traced(_request: IncomingMessage, response: ServerResponse, next: () => void): void {
  inTrace(traceOf(response), next);
}
