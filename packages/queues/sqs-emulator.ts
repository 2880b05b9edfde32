/**
 * Something that speaks the protocol of SQS, in this process or, by `node sqs-emulator.ts`, in one of its own: fauxqs, which keeps
 * everything in memory. It is a double: it has SQS' rules, and neither its durability nor its many servers.
 */
import type { AddressInfo } from 'node:net';
import { envPort } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { buildApp } from 'fauxqs';

export interface SqsEmulator extends AsyncDisposable {
  /** For SQS_ENDPOINT. */
  readonly url: string;
}

export async function startSqsEmulator({ port = 0 }: { port?: number } = {}): Promise<SqsEmulator> {
  const app = buildApp({ logger: false });
  // SQS gives nothing to a client that has hung up. The double does: so it is given back at once.
  app.addHook('onSend', async (request, _reply, payload) => {
    if (!request.raw.socket.destroyed || typeof payload !== 'string' || !payload.startsWith('{"Messages"'))
      return payload;
    const { Messages } = JSON.parse(payload) as { Messages: { ReceiptHandle: string }[] };
    const { QueueUrl } = request.body as { QueueUrl: string };
    for (const { ReceiptHandle } of Messages) {
      const headers = {
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': 'AmazonSQS.ChangeMessageVisibility',
      };
      await app.inject({
        method: 'POST',
        url: '/',
        headers,
        payload: { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 },
      });
    }
    return payload;
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
