/** A server with a certificate of its own, and ways to ask it that our client does not offer. */
import { once } from 'node:events';
import { request as requestHttp1 } from 'node:https';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { makeCertificate } from '@patterns/kit/certificate';
import { createLog } from '@patterns/kit/log';
import { openClient } from '../client.ts';
import { type ServerOptions, startServer } from '../server.ts';
import { openRaw } from './raw-http2.ts';

export const certificate = await makeCertificate();
export const ca = certificate.cert;

/** Starts the server, with clients that trust it. */
export async function serve(options: Partial<ServerOptions> = {}) {
  const log = createLog('test');
  log.silent = true;
  const server = await startServer({ certificate, log, graceMs: 500, ...options });
  return {
    server,
    url: server.url,
    client: (more = {}) => openClient(server.url, { ca, ...more }),
    raw: () => openRaw(server.url, ca),
    /** The counter's values by their label. */
    async counted(name: 'resets' | 'goaways'): Promise<Record<string, number>> {
      const { values } = await server.metrics[name].get();
      return Object.fromEntries(values.map(({ labels, value }) => [String(Object.values(labels)[0]), value]));
    },
    async openStreams(): Promise<number> {
      return (await server.metrics.openStreams.get()).values[0]?.value ?? 0;
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** Asks over HTTP/1.1. */
export async function askHttp1(url: string, method = 'GET') {
  const request = requestHttp1(url, { ca, method, agent: false }).end();
  const [response] = await once(request, 'response');
  return {
    status: response.statusCode,
    headers: response.headers,
    version: response.httpVersion,
    body: await text(response),
  };
}

/** Sends bytes over HTTP/1.1 as they are, and collects what comes until the connection closes. */
export async function sendHttp1(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), ca, ALPNProtocols: ['http/1.1'] });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  socket.write(bytes);
  return text(socket);
}
