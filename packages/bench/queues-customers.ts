/** Customers of the queues benchmark, in a process of their own: they come at random times, whether earlier ones have their answers or not. */
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { answer } from './processes.ts';

const agent = new Agent({ keepAlive: true });

/** Resolves with the status, and how long the answer took from when it was due. */
function pay(url: string, dueAt: number): Promise<{ status: number; tookMs: number }> {
  return new Promise((resolve, reject) => {
    const headers = { 'X-Due-At': `${performance.timeOrigin + dueAt}` };
    const asked = request(url, { method: 'POST', agent, headers }, (response) => {
      resolve({ status: response.statusCode ?? 0, tookMs: performance.now() - dueAt });
      response.resume();
    });
    asked.on('error', reject).end();
  });
}

const handlers = {
  /** `rate` a second on average. */
  async come({ url, rate, durationMs }: { url: string; rate: number; durationMs: number }) {
    const startedAt = performance.now();
    const answers: ReturnType<typeof pay>[] = [];
    let dueAt = startedAt;
    while (dueAt < startedAt + durationMs) {
      const earlyMs = dueAt - performance.now();
      if (earlyMs > 0) await delay(earlyMs);
      answers.push(pay(url, dueAt));
      dueAt += (-Math.log(1 - Math.random()) / rate) * 1_000;
    }
    const answered = await Promise.all(answers);
    const accepted = answered.filter(({ status }) => status < 300);
    return { asked: answered.length, acceptedMs: accepted.map(({ tookMs }) => tookMs) };
  },
};
export type Customers = typeof handlers;
answer(handlers);
