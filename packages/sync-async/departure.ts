/**
 * The two ways in which waiting by phone ends before there is an answer: the caller hangs up, or it takes too long. Neither ends
 * the work by itself. It ends because this signal is handed on, all the way into the thread (pool.ts).
 */
import type { ServerResponse } from 'node:http';
import { HttpProblem } from '@patterns/kit/problem';

/** Aborts when the connection closes before the answer is complete, and after `waitMs`. */
export function whenNobodyWaits(response: ServerResponse, waitMs: number): AbortSignal {
  const over = new AbortController();
  const late = setTimeout(() => {
    // Not 504: no gateway, this server itself has had enough. It says what would work.
    const detail = `not done within ${waitMs / 1_000} s: ask for it with POST /reports, and come back for it`;
    over.abort(new HttpProblem(503, { detail, headers: { 'Retry-After': '10' } }));
  }, waitMs);
  // `close` of the response: that of the request comes as soon as it has been read, with the caller still on the line.
  response.once('close', () => {
    clearTimeout(late);
    // 499 is what nginx logs for it. Nobody is there to receive it.
    if (!response.writableEnded) over.abort(new HttpProblem(499, { detail: 'the caller has hung up' }));
  });
  return over.signal;
}
