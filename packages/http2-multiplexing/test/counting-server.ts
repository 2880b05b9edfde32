/** A server in a process of its own that prints each request it has taken up, before it answers: what it did is known even after kill -9. */
import { createSecureServer } from 'node:http2';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';

await main(async (stack) => {
  const answers = envInteger('ANSWERS', 1);
  const server = createSecureServer({ cert: process.env.TLS_CERT!, key: process.env.TLS_KEY! });
  server.on('stream', (stream, headers) => {
    console.log(`${headers[':method']} ${headers[':path']}`);
    stream.on('error', () => {});
    if (answers) stream.respond({ ':status': 200 }, { endStream: true });
    if (headers[':path'] === '/begun') stream.respond({ ':status': 200 });
  });
  console.log(`listening on ${stack.use(await listen(server, { port: envPort() })).url}`);
});
