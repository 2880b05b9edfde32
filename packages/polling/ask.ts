/** One question: a conditional GET with a deadline, whose body is always read, so that its connection can be used again. */
export class PollingError extends Error {
  override readonly name = 'PollingError';
  readonly code: 'refused' | 'cursor-expired' | 'malformed-answer' | 'unreachable';

  constructor(code: PollingError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly etag: string | undefined;
  /** What the server asked us to wait, in milliseconds; undefined when it did not say. */
  readonly retryAfterMs: number | undefined;
}

/** setTimeout takes no more than 2^31 ms, and fires at once beyond: a day is as good as for ever here. */
const LONGEST_MS = 86_400_000;

/** Asks once. Rejects when there is no answer within the deadline, or when `signal` aborts. */
export async function ask(
  url: string,
  { etag, deadlineMs, signal }: { etag?: string | undefined; deadlineMs: number; signal?: AbortSignal | undefined },
): Promise<Answer> {
  const deadline = AbortSignal.timeout(deadlineMs);
  const response = await fetch(url, {
    headers: { Accept: 'application/json', ...(etag && { 'If-None-Match': etag }) },
    signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
  });
  const body = await response.text(); // that of a refusal as well
  const { status, headers } = response;
  return { status, body, etag: headers.get('ETag') ?? undefined, retryAfterMs: readRetryAfter(headers) };
}

// #region retry-after
/** Retry-After in milliseconds, in either of its forms: seconds, or a date [RFC 9110 §10.2.3]. */
export function readRetryAfter(headers: Headers, now = Date.now()): number | undefined {
  const value = headers.get('Retry-After')?.trim();
  if (!value) return undefined;
  // A date is one by the server's clock, and so is the moment to count from: ours may be minutes off.
  const sentAt = Date.parse(headers.get('Date') ?? '') || now;
  const milliseconds = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - sentAt;
  if (Number.isNaN(milliseconds)) return undefined; // neither: as if it were not there
  return Math.min(LONGEST_MS, Math.max(0, milliseconds));
}
// #endregion
