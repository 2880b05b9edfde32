/**
 * The load generator of the sidecar benchmark: one GET, over and over, on a number of connections. Unlike http-load.ts it also goes
 * on where every answer ends its connection, and answers may differ in length. Raw sockets, or it would be what is measured.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

export interface SidecarLoad {
  url: string;
  connections: number;
  durationMs: number;
  /** Over when there were so many, if that is sooner. */
  maxRequests?: number;
}

// What a browser sends, less its cookies.
const FIELDS =
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\nAccept: application/json\r\nAccept-Language: en\r\n' +
  'Accept-Encoding: gzip, deflate, br\r\nReferer: http://shop.example/\r\n';

async function run({ url, connections, durationMs, maxRequests = Number.POSITIVE_INFINITY }: SidecarLoad) {
  const target = new URL(url);
  const request = `GET /api/data HTTP/1.1\r\nHost: ${target.host}\r\n${FIELDS}\r\n`;
  const latenciesMs: number[] = [];
  const open = new Set<Socket>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {}); // what fails when it is over has no listener any more
  const enough = Promise.withResolvers<void>();
  const first = Promise.withResolvers<void>();
  let isOver = false;
  let bytes = 0;

  const begin = (): void => {
    const socket = connect({ host: target.hostname, port: Number(target.port), noDelay: true });
    let received = '';
    let askedAt = performance.now(); // a connection that has to be made first is part of the waiting
    open.add(socket);
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
      const end = lengthOf(received);
      if (end === undefined || received.length < end) return;
      if (!received.startsWith('HTTP/1.1 200 ')) failed.reject(new Error(`an answer: ${received.slice(0, 200)}`));
      const now = performance.now();
      if (latenciesMs.push(now - askedAt) >= maxRequests) enough.resolve();
      first.resolve();
      bytes = end;
      const isLast = /^connection: close\r$/im.test(received);
      received = '';
      askedAt = now;
      if (!isLast) socket.write(request);
      else {
        open.delete(socket);
        socket.removeAllListeners('close').destroy();
        if (!isOver) begin();
      }
    });
    socket.on('error', failed.reject).on('close', () => failed.reject(new Error('a connection was closed')));
    socket.write(request);
  };
  for (let n = 0; n < connections; n++) begin();
  await Promise.race([delay(durationMs).then(() => first.promise), enough.promise, failed.promise]);
  isOver = true;
  for (const socket of open) socket.removeAllListeners('close').destroy();
  return {
    requests: latenciesMs.length,
    bytes,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
  };
}

/** Of an answer with a Content-Length; undefined as long as its head is not there. */
function lengthOf(received: string): number | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const at = received.search(/^content-length: /im);
  return end + 4 + Number.parseInt(received.slice(at + 'content-length: '.length), 10);
}

const handlers = { run };
export type Load = typeof handlers;
answer(handlers);
