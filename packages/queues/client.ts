/**
 * The customer: pays, and asks until the message is there; submits code, and follows it to its verdict.
 *
 * Whoever is told 503 comes again, no sooner than the server said: nothing was taken, so even a POST is safe to repeat. Any
 * other refusal stands. `node client.ts <url>` does one of each.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { main } from '@patterns/kit/main';
import {
  isRecord,
  PAYMENTS_PATH,
  type Payment,
  type PaymentStatus,
  parsePaymentStatus,
  SUBMISSIONS_PATH,
} from './protocol.ts';
import { parseSubmissionStatus, type Submission, type SubmissionStatus } from './submission.ts';

export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: 'refused' | 'malformed';

  constructor(code: ClientError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface CallOptions {
  signal?: AbortSignal;
  /** Told each time that it was refused and will come again after so long. */
  onFull?: (waitMs: number) => void;
}

/** Pays, as soon as the server takes it. @throws {ClientError} when it will not. */
export async function pay(url: string, payment: Payment, options: CallOptions = {}): Promise<PaymentStatus> {
  return parsePaymentStatus(await post(new URL(PAYMENTS_PATH, url), payment, options).then(({ body }) => body));
}

/** Asks until the customer was told. @param everyMs how often; nobody is in a hurry for a message. */
export async function untilNotified(
  url: string,
  id: string,
  { signal, everyMs = 500 }: { signal?: AbortSignal; everyMs?: number } = {},
) {
  for (;;) {
    const response = await fetch(new URL(`${PAYMENTS_PATH}/${id}`, url), signal ? { signal } : {});
    const status = parsePaymentStatus(await response.json());
    if (status.notified !== null) return status;
    await delay(everyMs, undefined, signal ? { signal } : {});
  }
}

/** Hands in code. @returns where its verdict will be. @throws {ClientError} */
export async function submit(
  url: string,
  submission: Pick<Submission, 'language' | 'code'>,
  options: CallOptions = {},
) {
  const { location } = await post(new URL(SUBMISSIONS_PATH, url), submission, options);
  if (!location) throw new ClientError('malformed', 'the server did not say where the verdict will be');
  return new URL(location, url).href;
}

/** Each state of a submission until it is done, as the server streams them. */
export async function* follow(
  location: string,
  { signal }: { signal?: AbortSignal } = {},
): AsyncGenerator<SubmissionStatus> {
  const response = await fetch(location, { headers: { Accept: 'text/event-stream' }, ...(signal ? { signal } : {}) });
  if (!response.ok || !response.body) throw await refused(response);
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (text + chunk).split('\n');
    text = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith('data: ')) yield parseSubmissionStatus(JSON.parse(line.slice('data: '.length)));
    }
  }
}

// #region come-again
async function post(url: URL, body: unknown, { signal, onFull = () => {} }: CallOptions) {
  const request = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  for (;;) {
    const response = await fetch(url, { ...request, ...(signal ? { signal } : {}) });
    if (response.ok) return { location: response.headers.get('Location'), body: (await response.json()) as unknown };
    const seconds = Number(response.headers.get('Retry-After'));
    if (response.status !== 503 || !(seconds > 0)) throw await refused(response);
    await response.body?.cancel();
    // A random part more, so that those who are refused together do not stand before the door together again.
    const waitMs = seconds * 1_000 * (1 + Math.random() / 2);
    onFull(waitMs);
    await delay(waitMs, undefined, signal ? { signal } : {});
  }
}
// #endregion

async function refused(response: Response): Promise<ClientError> {
  const problem: unknown = await response.json().catch(() => undefined);
  const detail = isRecord(problem) ? `: ${String(problem.detail ?? problem.title)}` : '';
  return new ClientError('refused', `${response.status}${detail}`);
}

const EXAMPLE = 'const fibonacci = (n) => (n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2)); print(fibonacci(20));';

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [url, phone = '+4930123456'] = process.argv.slice(2);
    if (!url) return console.log('usage: node client.ts <url> [phone]   (start a server with: node server.ts)');
    const onFull = (waitMs: number) => console.log(`refused: comes again in ${(waitMs / 1_000).toFixed(1)} s`);
    const payment = await pay(url, { phone, amount: 1_250 }, { signal, onFull });
    console.log(`paid ${payment.id}; the message is on its way`);
    const location = await submit(url, { language: 'javascript', code: EXAMPLE }, { signal, onFull });
    console.log(`submitted ${location}`);
    for await (const { state, verdict } of follow(location, { signal })) {
      console.log(verdict ? `${verdict.outcome}: ${verdict.output.trim() || (verdict.error ?? '')}` : state);
    }
    const { notified } = await untilNotified(url, payment.id, { signal });
    console.log(`told by a message at ${notified}`);
  });
}
