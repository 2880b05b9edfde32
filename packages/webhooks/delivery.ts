/**
 * One attempt at one delivery: signed, sent, and judged by its status. What it must not do is wait: a consumer that takes the
 * connection and says nothing, or answers without end, costs a bounded time and a bounded number of bytes.
 */
import type { Agent } from 'undici';
import type { Claim } from './deliveries.ts';
import { ID_HEADER, SIGNATURE_HEADER, SIMPLE_SIGNATURE_HEADER, TIMESTAMP_HEADER } from './protocol.ts';
import { readRetryAfter } from './schedule.ts';
import { readSecret, type Secret, sign, signBody } from './signature.ts';

/** What became of it:
 *  - `delivered`: a 2xx, and only that
 *  - `failed`: everything else, redirects too: where they lead nobody has checked, and nobody has signed for
 *  - `gone`: 410, the consumer's own word that it wants nothing more */
export interface Outcome {
  readonly as: 'delivered' | 'failed' | 'gone';
  /** Absent when there was no answer. */
  readonly status?: number;
  readonly reason?: string;
  readonly retryAfterMs?: number | undefined;
  /** The consumer, or what stands in front of it, has too much to do. */
  readonly isOverloaded?: boolean;
  readonly latencyMs: number;
}

/** What is read of an answer, since its status says all: enough that a small one leaves the connection usable. */
const MAX_ANSWER_BYTES = 4 * 1024;

const OVERLOADED = [429, 502, 503, 504];

// #region attempt
/** Never rejects: whatever goes wrong is an outcome. The timeout is of all of it, from the dialling to the answer's end. */
export async function attempt(agent: Agent, claim: Claim, timeoutMs: number, signal: AbortSignal): Promise<Outcome> {
  const startedAt = performance.now();
  const latencyMs = () => Math.round((performance.now() - startedAt) * 10) / 10;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const { origin, pathname, search } = new URL(claim.url);
    const body = Buffer.from(claim.body);
    const response = await agent.request({
      origin,
      path: pathname + search,
      method: 'POST',
      headers: headersOf(claim, body),
      body,
      signal: AbortSignal.any([timeout, signal]),
    });
    const { statusCode: status, headers } = response;
    await response.body.dump({ limit: MAX_ANSWER_BYTES }).catch(() => {}); // more is not read: the connection is closed
    return { ...judge(status, headers['retry-after']), status, latencyMs: latencyMs() };
  } catch (error) {
    const reason = timeout.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(error);
    return { as: 'failed', reason, latencyMs: latencyMs() };
  }
}

/** Signed anew each time: an old timestamp would be refused. The id stays: it is what repetitions are told by. */
function headersOf({ event, secrets, traceparent }: Claim, body: Buffer): Record<string, string> {
  const timestamp = Math.floor(Date.now() / 1_000);
  const keys = secrets.map(keyOf);
  return {
    'content-type': 'application/json',
    'user-agent': 'patterns-webhooks/1',
    [ID_HEADER]: event,
    [TIMESTAMP_HEADER]: String(timestamp),
    [SIGNATURE_HEADER]: sign(keys, event, timestamp, body),
    // There is room for one only. The older, while two are valid: whoever checks this one need not switch in our instant.
    [SIMPLE_SIGNATURE_HEADER]: signBody(keys.at(-1)!, body),
    // As it was given: we take no part in the shop's trace, and a span of ours would be missing in it [W3C Trace Context §4.3].
    ...(traceparent === null ? {} : { traceparent }),
  };
}
// #endregion

function judge(status: number, retryAfter: string | string[] | undefined): Pick<Outcome, 'as'> & Partial<Outcome> {
  if (status >= 200 && status <= 299) return { as: 'delivered' };
  const reason = `answered ${status}`;
  if (status === 410) return { as: 'gone', reason };
  const retryAfterMs = typeof retryAfter === 'string' ? readRetryAfter(retryAfter) : undefined;
  return { as: 'failed', reason, retryAfterMs, isOverloaded: OVERLOADED.includes(status) };
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return (message || code || String(error)).slice(0, 200);
}

/** Secrets that are ready for use, by their text. Few enough to be thrown away all at once when there are too many. */
const keys = new Map<string, Secret>();

function keyOf(text: string): Secret {
  let key = keys.get(text);
  if (!key) {
    key = readSecret(text);
    if (keys.size >= 1_000) keys.clear();
    keys.set(text, key);
  }
  return key;
}
