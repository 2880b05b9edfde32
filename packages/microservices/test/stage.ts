/** What the tests of the chassis stand on: a log that is silent, keys, and a neighbour that answers as it is told. */
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog } from '@patterns/kit/log';

process.env.LOG_LEVEL ??= 'error';
export const log = createLog('test');

export const makeKey = () =>
  generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });

export interface Neighbour extends Listening {
  /** What it was asked, in order. */
  readonly requests: IncomingMessage[];
}

/** A server that keeps what it was asked, and answers by `answer`. */
export async function startNeighbour(answer: RequestListener): Promise<Neighbour> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume();
    answer(request, response);
  });
  return Object.assign(await listen(server, { graceMs: 100 }), { requests });
}

/** Answers with a status, and a word as JSON. */
export const says =
  (status: number, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify({ status }));
  };
