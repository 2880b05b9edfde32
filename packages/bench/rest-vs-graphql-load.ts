/**
 * The load generator of the rest-vs-graphql benchmark: users who look at a screen again and again, each over connections of their
 * own that are kept open. What is asked side by side is spread over them, as a browser does it over HTTP/1.1.
 */
import { type Answer, HttpConnection } from './http-connection.ts';
import { answer } from './processes.ts';
import type { Waves } from './rest-vs-graphql-ways.ts';
import { percentile } from './results.ts';

export interface ScreenLoad {
  url: string;
  waves: Waves;
  lines: string;
  users: number;
  /** Of each user, at most. */
  connections: number;
  durationMs: number;
}

async function run({ url, waves, lines, users, connections, durationMs }: ScreenLoad) {
  const latenciesMs: number[] = [];
  const once = { bytes: 0, requests: 0, statements: 0 };
  const startedAt = performance.now();
  const isOver = () => performance.now() - startedAt >= durationMs;

  async function look(own: readonly HttpConnection[], tell: (answer: Answer) => void): Promise<void> {
    for (const wave of waves) {
      const waiting = wave.values(); // shared: each connection takes the next path when it is free
      await Promise.all(
        own.map(async (connection) => {
          for (const path of waiting) {
            const received = await connection.ask(path, lines);
            if (received.status !== 200) throw new Error(`${path}: ${received.status} ${received.body}`);
            tell(received);
          }
        }),
      );
    }
  }

  await Promise.all(
    Array.from({ length: users }, async (_, user) => {
      const own = Array.from({ length: Math.min(connections, widest(waves)) }, () => new HttpConnection(new URL(url)));
      // Every look at a screen is the same: the first user's first one is counted.
      let tell = user > 0 ? () => {} : count;
      do {
        const lookedAt = performance.now();
        await look(own, tell);
        latenciesMs.push(performance.now() - lookedAt);
        tell = () => {};
      } while (!isOver());
      for (const connection of own) connection.destroy();
    }),
  );
  return {
    ...once,
    screens: latenciesMs.length,
    tookMs: performance.now() - startedAt,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
  };

  function count({ bytes, head }: Answer): void {
    once.requests++;
    once.bytes += bytes;
    once.statements += Number(/^x-sql-statements: (\d+)/im.exec(head)?.[1] ?? 0);
  }
}

const widest = (waves: Waves) => Math.max(...waves.map((wave) => wave.length));

const handlers = { run };
export type ScreensLoad = typeof handlers;
answer(handlers);
