/**
 * Asks an HTTP/2 server over the client's one session, and says of a question that was not answered whose fault that is.
 */
import type { OutgoingHttpHeaders } from 'node:http2';
import type { Readable } from 'node:stream';
import { HttpProblem } from '@patterns/kit/problem';
import type { Client } from './client.ts';
import type { Ask, Question } from './exchange.ts';
import { Http2Error } from './http2-error.ts';

/** A body that is told to be no longer is collected: then it can be sent again to the server's successor. */
const COLLECTED_BYTES = 65_536;

/** Asks the server of `client`, which repeats by itself what is safe to repeat. */
export function askHttp2(client: Client): Ask {
  // #region ask-http2
  return async (question) => {
    const { method, path, authority, fields, body, signal } = question;
    const headers: OutgoingHttpHeaders = { ...fields, ':authority': authority };
    try {
      const answer = await client.request(path, {
        method,
        headers,
        body: body && (await collect(body, fields)),
        signal,
      });
      return {
        status: answer.status,
        raw: flat(answer.headers),
        version: '2.0',
        body: answer.body, // fails when the stream is reset: that must not pass for a whole answer
        trailers: () => flat(answer.trailers()),
        [Symbol.dispose]: () => void answer.body.destroy(),
      };
    } catch (error) {
      signal.throwIfAborted();
      throw explain(error, question);
    }
  };
  // #endregion
}

async function collect(body: Readable, fields: Question['fields']): Promise<Uint8Array | Readable> {
  const length = fields['content-length'];
  return length !== undefined && Number(length) <= COLLECTED_BYTES ? Buffer.concat(await body.toArray()) : body;
}

const flat = (headers: OutgoingHttpHeaders): string[] =>
  Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().flatMap((one) => [name, String(one)]));

/** 503: there was no room. 504: it did not answer. 502: it could not be reached, went away, or gave the request up. */
function explain(error: unknown, { isClientSlow, body }: Question): unknown {
  if (!(error instanceof Http2Error)) return error;
  const problem = (status: number, options = {}) =>
    new HttpProblem(status, { detail: error.message, cause: error, ...options });
  switch (error.code) {
    case 'queue-full':
    case 'queue-late':
    case 'closed':
    case 'refused':
      return problem(503, { headers: { 'Retry-After': '1' } });
    case 'timeout':
      return problem(body && isClientSlow() ? 408 : 504);
    default:
      return problem(502);
  }
}
