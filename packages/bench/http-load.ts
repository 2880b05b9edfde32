/**
 * A load generator for one GET, over connections that are kept open: each asks again as soon as it has its answer. It is
 * cheap, or it would be what is measured: raw sockets, one buffer, and answers known by their length. The first answer is
 * read in full, and every later one has to begin like it and to be as long.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

export interface Load {
  url: string;
  headers?: Record<string, string>;
  connections: number;
  durationMs: number;
}

const buffer = Buffer.allocUnsafe(64 * 1_024);

async function run({ url, headers = {}, connections, durationMs }: Load) {
  const target = new URL(url);
  const lines = Object.entries({ Host: target.host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const request = `GET ${target.pathname}${target.search} HTTP/1.1\r\n${lines.join('')}\r\n`;
  const { start, length } = await readOne(target, request);

  const latenciesMs: number[] = [];
  const failed = Promise.withResolvers<never>();
  const first = Promise.withResolvers<void>();
  const sockets = Array.from({ length: connections }, () => {
    let missing = length;
    let askedAt = performance.now();
    const callback = (bytes: number): boolean => {
      if (missing === length && !buffer.subarray(0, start.length).equals(start)) {
        failed.reject(new Error(`not like the first answer: ${buffer.toString('latin1', 0, 100)}`));
      }
      missing -= bytes;
      if (missing < 0) failed.reject(new Error('longer than the first answer'));
      if (missing > 0) return true;
      const now = performance.now();
      latenciesMs.push(now - askedAt);
      first.resolve();
      missing = length;
      askedAt = now;
      socket.write(request);
      return true;
    };
    const socket: Socket = connect({
      host: target.hostname,
      port: Number(target.port),
      onread: { buffer, callback },
    });
    socket.on('error', failed.reject).on('close', () => failed.reject(new Error('the server closed a connection')));
    socket.write(request);
    return socket;
  });
  // However short it is meant to be: without an answer there is nothing to report.
  await Promise.race([delay(durationMs).then(() => first.promise), failed.promise]);
  for (const socket of sockets) socket.removeAllListeners('close').destroy();
  failed.promise.catch(() => {});
  return {
    requests: latenciesMs.length,
    bytes: length,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
  };
}

/** How an answer begins (with its status), and how long it is: every answer of one server is alike. */
async function readOne(target: URL, request: string): Promise<{ start: Buffer; length: number }> {
  const socket = connect(Number(target.port), target.hostname);
  socket.write(request);
  let answer = '';
  for await (const chunk of socket.setEncoding('latin1')) {
    answer += chunk;
    const head = answer.slice(0, answer.indexOf('\r\n\r\n') + '\r\n\r\n'.length);
    const length = head.length + Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    if (head.endsWith('\r\n\r\n') && answer.length >= length) {
      return { start: Buffer.from(answer.slice(0, 'HTTP/1.1 200'.length)), length };
    }
  }
  throw new Error(`${target.href} hung up`);
}

const handlers = { run };
export type HttpLoad = typeof handlers;
answer(handlers);
