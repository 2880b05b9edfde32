/** The two ends of a delivery, each in a process of its own: `dispatcher` sends what is in the database, `receiver` counts. */
import { createServer } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { startDispatcher } from '@patterns/webhooks/dispatcher';
import { answer } from './processes.ts';

export type Dispatcher = { start: (databaseUrl: string) => void };
export type Receiver = {
  url: (nothing: undefined) => string;
  /** How many different webhooks came since it was asked last. */
  received: (nothing: undefined) => number;
  forget: (nothing: undefined) => void;
};

if (process.argv[2] === 'dispatcher') {
  answer({
    start: (databaseUrl) => void startDispatcher({ databaseUrl, allow: ['127.0.0.1'] }),
  } satisfies Dispatcher);
} else {
  const ids = new Set<string>();
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      ids.add(`${request.url} ${String(request.headers['webhook-id'])}`);
      response.writeHead(204).end();
    });
  });
  const { url } = await listen(server);
  answer({
    url: () => url,
    received: () => ids.size,
    forget: () => ids.clear(),
  } satisfies Receiver);
}
