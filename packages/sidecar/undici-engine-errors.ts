/**
 * What undici's errors mean: whose failure it was, and by which name the client hears of it.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { errors } from 'undici';
import { type FailureCode, UpstreamError } from './protocol.ts';

/** What undici and the system call it, in the words of [RFC 9209 §2.3]. */
const CODES: Readonly<Record<string, FailureCode>> = {
  ECONNREFUSED: 'connection_refused',
  ENOENT: 'connection_refused', // a Unix socket that is not there
  UND_ERR_CONNECT_TIMEOUT: 'connection_timeout',
  UND_ERR_HEADERS_TIMEOUT: 'http_response_timeout',
  UND_ERR_HEADERS_OVERFLOW: 'http_protocol_error',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'http_protocol_error',
};

/** What the client is told when undici failed. @param hasBegun whether the head of the answer was here */
export function explain(error: Error & { code?: string }, hasBegun: boolean): Error {
  const { code = '' } = error;
  // An unusual request (`OPTIONS *`) that undici does not send: nobody has failed.
  if (code === 'UND_ERR_INVALID_ARG') return new HttpProblem(400, { detail: 'not a request that is passed on' });
  if (hasBegun) return new UpstreamError('http_response_incomplete', { cause: error });
  const isNotHttp = error instanceof errors.HTTPParserError; // whose code is not always set
  return new UpstreamError(isNotHttp ? 'http_protocol_error' : (CODES[code] ?? 'connection_terminated'), {
    cause: error,
  });
}
