/**
 * Something that speaks the protocol of SQS, in this process or, by `node sqs-emulator.ts`, in one of its own: fauxqs, which keeps
 * everything in memory. It is a double: it has SQS' rules, and neither its durability nor its many servers.
 */
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { envPort } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { buildApp } from 'fauxqs';

const ASK_AGAIN_MS = 10;

export interface SqsEmulator extends AsyncDisposable {
  /** For SQS_ENDPOINT. */
  readonly url: string;
}

export async function startSqsEmulator({ port = 0 }: { port?: number } = {}): Promise<SqsEmulator> {
  const app = buildApp({ logger: false });
  // SQS gives nothing to a client that has hung up, and fauxqs does: the next job would go to a worker that was killed, and count as an
  // attempt. So the waiting is done here, by asking again while the client is there.
  app.addHook('preHandler', async (request, reply) => {
    const { 'x-amz-target': target, 'content-type': type } = request.headers;
    const { WaitTimeSeconds: waitS = 0, ...question } = (request.body ?? {}) as { WaitTimeSeconds?: number };
    if (target !== 'AmazonSQS.ReceiveMessage' || waitS === 0) return;
    const deadline = performance.now() + waitS * 1_000;
    const headers = { 'content-type': type, 'x-amz-target': target };
    while (!request.raw.socket.destroyed) {
      const answer = await app.inject({
        method: 'POST',
        url: '/',
        headers,
        payload: { ...question, WaitTimeSeconds: 0 },
      });
      if (answer.payload.includes('"Messages"') || answer.statusCode !== 200 || performance.now() >= deadline) {
        return reply.code(answer.statusCode).headers(answer.headers).send(answer.payload);
      }
      await pause(ASK_AGAIN_MS);
    }
    return reply.hijack();
  });
  // Not `startFauxqs`, which listens on all addresses.
  await app.listen({ port, host: '127.0.0.1' });
  return {
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => app.close(),
  };
}

if (import.meta.main) {
  await main(async (stack) => {
    const { url } = stack.use(await startSqsEmulator({ port: envPort() }));
    console.log(`listening on ${url}`);
    console.log(`SQS_ENDPOINT=${url} node worker.ts --broker sqs`);
  });
}
