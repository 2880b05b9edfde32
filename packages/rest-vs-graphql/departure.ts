/**
 * Notices that the client has gone: the statement that runs for it can stop.
 */
import type { ServerResponse } from 'node:http';
import { HttpProblem } from '@patterns/kit/problem';

/**
 * Aborts when the connection closes before the answer is complete. The response is what tells: `close` of the request comes
 * as soon as its body has been read, with the client still waiting.
 */
export function whenLeft(response: ServerResponse): AbortSignal {
  const left = new AbortController();
  response.once('close', () => {
    // 499 is what nginx logs for it. Nobody is there to receive it.
    if (!response.writableEnded) left.abort(new HttpProblem(499, { detail: 'the client has left' }));
  });
  return left.signal;
}
