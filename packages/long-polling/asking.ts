/**
 * One question, asked until it is answered: what of its failures passes is tried again, after a wait that grows, with full
 * jitter; what is final is an error. Every question has a deadline of its own, because a peer that vanished without a word
 * looks exactly like a server that has nothing to say.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { askFor } from './protocol.ts';

export class LongPollingError extends Error {
  override readonly name = 'LongPollingError';
  readonly code: 'refused' | 'cursor-expired' | 'malformed-answer';

  constructor(code: LongPollingError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface Answer {
  /** 200: news, in `body`. 204: nothing yet. */
  readonly status: 200 | 204;
  readonly headers: Headers;
  readonly body: string;
}

export interface AskOptions {
  after?: string | undefined;
  waitSeconds: number;
  client: string;
  signal: AbortSignal | undefined;
  maxDelayMs?: number | undefined;
  graceMs?: number | undefined;
}

/** The first wait after an error is up to so long, and each one up to twice the one before. */
const BASE_DELAY_MS = 500;

// #region ask
/** Resolves with the answer; with undefined when `signal` aborts. @throws {LongPollingError} when it is final. */
export async function ask(
  url: string,
  path: string,
  { signal, maxDelayMs = 30_000, graceMs = 10_000, ...question }: AskOptions,
): Promise<Answer | undefined> {
  const target = new URL(askFor(path, question), url);
  for (let attempt = 0; !signal?.aborted; attempt++) {
    let notBeforeMs = 0;
    try {
      const deadline = AbortSignal.timeout(question.waitSeconds * 1_000 + graceMs);
      const response = await fetch(target, { signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
      const body = await response.text(); // also of a refusal: who leaves it unread keeps the connection from the next question
      const { status, headers } = response;
      if (status === 200 || status === 204) return { status, headers, body };
      refuseIfFinal(status, body);
      notBeforeMs = retryAfterMs(headers.get('Retry-After'));
    } catch (error) {
      if (error instanceof LongPollingError) throw error;
      // Anything else is the line: it was cut, refused, or silent for too long.
    }
    const mostMs = Math.min(maxDelayMs, BASE_DELAY_MS * 2 ** attempt);
    await delay(notBeforeMs + Math.random() * mostMs, undefined, signal && { signal }).catch(() => {});
  }
  return undefined;
}
// #endregion

/** 429 and 5xx pass; any other status will not be different the next time. */
function refuseIfFinal(status: number, body: string): void {
  if (status === 429 || status >= 500) return;
  throw new LongPollingError(status === 410 ? 'cursor-expired' : 'refused', `${status}: ${body.slice(0, 300)}`);
}

/** In both its forms: seconds, or a date [RFC 9110 §10.2.3]. */
function retryAfterMs(field: string | null): number {
  if (field === null) return 0;
  const milliseconds = /^\d+$/.test(field) ? Number(field) * 1_000 : Date.parse(field) - Date.now();
  return Number.isNaN(milliseconds) ? 0 : Math.max(0, milliseconds);
}
