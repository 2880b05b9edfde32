/**
 * The other way round: many connections, folded into one. Clients that speak HTTP/1.1 in front, one session of HTTP/2 behind.
 *
 * Each client has its connection, and each of its requests becomes a lane of the session that all of them share (client.ts). What
 * is above the server's limit of streams waits; when the server goes, the next request opens another session. This is what a
 * sidecar does for an application that cannot speak HTTP/2. It ends by draining: what is open is answered, then the session ends.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { makeCertificate } from '@patterns/kit/certificate';
import { envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { askHttp2 } from './ask-http2.ts';
import { type Client, type ClientOptions, openClient } from './client.ts';
import { createExchange } from './exchange.ts';
import { startServer } from './server.ts';

export interface MultiplexerOptions {
  /** URL of a server that speaks HTTP/2. */
  server: string;
  /** Its certificate authority and limits of waiting. */
  client?: Omit<ClientOptions, 'signal'>;
  port?: number;
  /** Between two pieces of a body, in either direction. Longer than between two heartbeats of an event stream. */
  silenceMs?: number;
  log?: Log;
  graceMs?: number;
}

export interface Multiplexer extends Listening {
  /** How many sessions were opened, and what waits. */
  readonly client: Client;
}

/** Starts the proxy, on loopback and in the clear: it stands beside its clients, on the same machine. */
export async function startMultiplexer({
  server: url,
  client: clientOptions,
  port,
  silenceMs = 60_000,
  log = createLog('multiplexer'),
  graceMs,
}: MultiplexerOptions): Promise<Multiplexer> {
  // Shorter than the client's own patience: a person is waiting.
  const client = openClient(url, { requestMs: 10_000, ...clientOptions });
  const exchange = createExchange(askHttp2(client), { log, silenceMs });
  const logRequest = logRequests(log);
  // A slow head, a slow request: who dawdles is answered 408 by Node.
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, (request, response) => {
    logRequest(request, response, () => exchange(request, response));
  });
  server.on('checkContinue', (request, response) => server.emit('request', request, response));

  const listening = await listen(server, { port, graceMs });
  const close = async () => {
    await listening.close();
    await client[Symbol.asyncDispose]();
  };
  // All that a listening server has, and a close that goes on behind it.
  return Object.create(listening, {
    client: { value: client },
    close: { value: close },
    [Symbol.asyncDispose]: { value: close },
  });
}

if (import.meta.main) {
  await main(async (stack) => {
    const [, , given, file] = process.argv;
    const certificate = await makeCertificate();
    const server = given ?? stack.use(await startServer({ certificate })).url;
    const ca = given ? file && (await readFile(file, 'utf8')) : certificate.cert;
    const proxy = stack.use(await startMultiplexer({ server, client: { ca }, port: envPort() }));
    console.log(`listening on ${proxy.url}`);
    console.log(`one session to ${server}`);
    console.log(`in another terminal: curl -s --parallel '${proxy.url}/items/[1-50]'`);
  });
}
