/**
 * The server as every introduction shows it, runnable beside the sound one. It works for as long as everybody is nice to it:
 *  - a path that it does not know is never answered: the stream stays open, and its client waits for ever;
 *  - no stream has an 'error' listener: one client that resets a stream with an error code ends the process, for everybody;
 *  - whoever speaks only HTTP/1.1 is turned away: the fallback has to be asked for;
 *  - nothing that is idle is ever closed, and a method means nothing to it;
 *  - on SIGTERM it is gone in the middle of its answers, without the GOAWAY that tells a client what it may ask again.
 */
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type Certificate, makeCertificate } from '@patterns/kit/certificate';
import { envPort } from '@patterns/kit/env';

/** @returns its URL. It cannot be closed: that, too, is left out in the introductions. */
export async function startNaiveServer({ cert, key }: Certificate, port = 0): Promise<string> {
  const server = http2.createSecureServer({ key, cert });

  server.on('stream', (stream, headers) => {
    // Multiple requests can be handled over the same connection
    if (headers[':path'] === '/resource1') {
      stream.respond({ 'content-type': 'application/json', ':status': 200 });
      stream.end(JSON.stringify({ data: 'Resource 1' }));
    } else if (headers[':path'] === '/resource2') {
      stream.respond({ 'content-type': 'application/json', ':status': 200 });
      stream.end(JSON.stringify({ data: 'Resource 2' }));
    }
  });

  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

if (import.meta.main) {
  process.once('disconnect', () => process.exit()); // whoever started us is gone
  process.channel?.unref();
  const url = await startNaiveServer(await makeCertificate(), envPort());
  console.log(`listening on ${url}`);
  console.log(
    `in another terminal: curl --http2 --insecure ${url}/resource1     then /resource3, which waits for ever`,
  );
}
