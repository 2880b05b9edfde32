/**
 * Trace context: one id that follows a request through every process [W3C Trace Context].
 *
 *     traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *                  version-trace id-id of the caller's span-flags
 *
 * A hop keeps the trace id and makes a span id of its own; copying the caller's header through unchanged is the usual
 * mistake. A malformed header is treated as absent: the trace starts anew here.
 */
import { randomFillSync } from 'node:crypto';
import type { ServerResponse } from 'node:http';

export interface Trace {
  /** 32 hexadecimal digits, the same in every hop. */
  readonly traceId: string;
  /** 16 hexadecimal digits, this hop's own. */
  readonly spanId: string;
  /** The caller's span, when there was a caller with a valid header. */
  readonly parentId?: string;
  readonly sampled: boolean;
}

// Version 00 has exactly four fields; a later version may add more behind a dash, and ff is forbidden [§3.2.2].
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The trace of this hop: a child of the caller's span, or, without a valid header, a new trace. */
export function continueTrace(traceparent: string | undefined): Trace {
  const match = TRACEPARENT.exec(traceparent?.trim() ?? '');
  const spanId = randomHex(8);
  if (!match || (match[1] === '00' && match[5] !== undefined)) {
    return { traceId: randomHex(16), spanId, sampled: true };
  }
  return { traceId: match[2]!, spanId, parentId: match[3]!, sampled: (Number.parseInt(match[4]!, 16) & 1) === 1 };
}

/** Drawn in advance: asking the generator costs microseconds, whether for eight bytes or for thousands. */
const drawn = Buffer.alloc(4_096);
let used = drawn.length;

function randomHex(bytes: number): string {
  if (used + bytes > drawn.length) {
    randomFillSync(drawn);
    used = 0;
  }
  used += bytes;
  return drawn.toString('hex', used - bytes, used);
}

/** The `traceparent` header to send onward from this hop. */
export function toTraceparent({ traceId, spanId, sampled }: Trace): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

const traces = new WeakMap<ServerResponse, Trace>();

/** The trace of the request that this response answers: begun when it is first asked for. */
export function traceOf(response: ServerResponse): Trace {
  let trace = traces.get(response);
  if (!trace) {
    trace = continueTrace(response.req.headers.traceparent as string | undefined);
    traces.set(response, trace);
  }
  return trace;
}
