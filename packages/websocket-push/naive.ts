/**
 * Push as every introduction shows it, runnable beside the sound one. It works, until the line does not:
 *  - an interval per connection, which nobody clears: it goes on after its connection has ended, for as long as the process;
 *  - nobody asks whether the other side is still there: a line that falls silent counts as connected, for ever, at both ends;
 *  - anyone may connect, from a page of any origin, without saying who they are;
 *  - a client that comes back takes what comes next: what it missed has no number, and nobody would send it again;
 *  - what a client sends is not looked at, not bounded (100 MiB) and not answered;
 *  - `send` is not asked whether the client keeps up, and every client has the event encoded anew;
 *  - an error of a socket has no listener: one reset by a peer ends the process.
 */
import { createServer } from 'node:http';
import type { Feed } from '@patterns/feed/feed';
import { envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { WebSocket, WebSocketServer } from 'ws';
import type { ChatData, ChatEvent } from './protocol.ts';
import { openRoom } from './room.ts';

/** The textbook's server; `GET /` says what it holds. */
export async function startNaiveServer({
  feed,
  port,
  everyMs = 200,
}: {
  feed: Feed<ChatData>;
  port?: number;
  everyMs?: number;
}) {
  let timers = 0;
  const server = createServer((_request, response) => {
    response.end(JSON.stringify({ sockets: wss.clients.size, timers }));
  });
  const wss = new WebSocketServer({ server });
  wss.on('connection', (ws) => {
    let after: string | undefined;
    const push = async () => {
      after ??= await feed.position();
      for (const event of await feed.read({ after })) {
        after = event.id;
        ws.send(JSON.stringify({ type: 'notification', ...event }));
      }
    };
    timers++;
    setInterval(() => void push(), everyMs);
  });
  return listen(server, { port });
}

/** The textbook's client, with the reconnect that everybody adds: on `close`, connect again. */
export async function* naiveSubscribe(url: string, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  const received: ChatEvent[] = [];
  let wake = () => {};
  function connect(): void {
    if (signal.aborted) return;
    const ws = new WebSocket(url.replace(/^http/, 'ws'));
    signal.addEventListener('abort', () => ws.terminate());
    ws.onmessage = ({ data }) => {
      received.push(JSON.parse(data as string));
      wake();
    };
    ws.onerror = () => {};
    ws.onclose = () => setTimeout(connect, 1_000);
  }
  connect();
  while (!signal.aborted) {
    for (let event = received.shift(); event; event = received.shift()) yield event;
    await new Promise<void>((resolve) => {
      wake = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const url = process.argv[2];
    if (url) {
      for await (const { at, data } of naiveSubscribe(url, signal)) {
        const text = data.type === 'said' ? `${data.from}: ${data.text}` : data.text;
        console.log(`${text}  ${Date.now() - at} ms`);
      }
    } else {
      const { feed } = openRoom(stack, signal, createLog('naive'));
      const server = stack.use(await startNaiveServer({ feed, port: envPort() }));
      console.log(`listening on ${server.url}`);
      console.log(`in another terminal: pnpm -C packages/websocket-push naive ${server.url}`);
    }
  });
}
