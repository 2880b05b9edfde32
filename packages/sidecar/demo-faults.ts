/** What happens to the app, and what its clients notice of it. */
import { renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Stage } from '@patterns/kit/demo';
import { until } from '@patterns/kit/testing/until';
import { type App, startApp } from './beside.ts';
import { PATIENCE_MS, type Running, type Scene } from './demo-stage.ts';

/** Of the breaker in this demo: in a row, and how long it is left alone. */
const FAILURES = 4;
export const OPEN_MS = 1_000;

/** The app hangs: it is stopped in the middle of whatever it does (SIGSTOP), its socket still takes connections. */
export async function silenceApp(
  { story, signal }: Stage,
  { ask, goThrough }: Scene,
  { url, entries }: Running,
  app: App,
): Promise<void> {
  const attemptsOf = async (page: string) =>
    (
      await entries.find(`page ${page}`, ({ query }) => JSON.stringify(query)?.includes(page) ?? false, {
        withinMs: PATIENCE_MS,
      })
    ).attempts;
  goThrough({ url });
  story.fault('the app is frozen (SIGSTOP): it accepts, and says nothing');
  process.kill(app.pid, 'SIGSTOP');
  const hung = await Promise.all(Array.from({ length: FAILURES }, () => ask('/api/data')));
  const startedAt = performance.now();
  const atOnce = await ask('/api/data?page=at-once');
  const ms = Math.round(performance.now() - startedAt);
  const asked = await attemptsOf('at-once');
  story.act('sidecar', `answers without asking the app, after ${ms} ms; in ${OPEN_MS / 1_000} s it will ask once`);
  await delay(OPEN_MS, undefined, { signal });
  const probe = await ask('/api/data?page=probe');
  const probed = await attemptsOf('probe');
  story.act('app', 'goes on (SIGCONT)');
  process.kill(app.pid, 'SIGCONT');
  await delay(OPEN_MS, undefined, { signal });
  const healed = await ask('/api/data');
  story.measure('sound', {
    'the app hangs: answers': [hung[0], atOnce, probe, healed].map((each) => each?.status).join(', '),
  });
  story.claim(
    'sound: an app that hangs is a 504',
    hung.every(({ status }) => status === 504),
  );
  story.claim(
    'sound: then the breaker is open: 503 at once, with Retry-After',
    atOnce.status === 503 && asked === 0 && 'retry-after' in atOnce.headers,
  );
  story.claim('sound: half-open, it asks once', probe.status === 504 && probed === 1);
  story.claim('sound: the probe is answered, and the breaker is closed', healed.status === 200);
}

/** The app dies and comes back; then it is replaced while it has requests in hand. @returns the one that took its place */
export async function replaceApp(
  { story, signal, use }: Stage,
  { ask, goThrough, quietly }: Scene,
  sidecar: Running,
  app: App,
): Promise<App> {
  goThrough(sidecar);
  story.fault('the app is killed with -9');
  await app.kill('SIGKILL');
  const dead = await ask('/orders', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{"n":2}',
  });
  await app.restart();
  story.act('app', 'is started again');
  const back = await ask('/api/data');

  const socket = app.upstream.slice('unix:'.length);
  const next = join(dirname(socket), 'next.sock');
  const successor = use(await startApp('app.ts', { signal, socket: next }));
  story.act('app', 'a second one is started beside it; the first is given two questions and an order');
  process.kill(app.pid, 'SIGSTOP'); // so that it has them in hand
  const { answers } = await quietly(async () => {
    const inHand = [ask('/api/data'), ask('/api/data'), ask('/orders', { method: 'POST', body: 'n=3' })];
    await until('the app has all three', async () => /^sidecar_upstream_asking 3$/m.test(await metricsOf(sidecar)), {
      withinMs: PATIENCE_MS,
    });
    story.fault('the second one takes the place of the first, which is killed with -9');
    renameSync(next, socket); // in one step: somebody listens there at any time
    await app.kill('SIGKILL');
    return { answers: await Promise.all(inHand) };
  });
  const [first, second, order] = answers.map(({ status }) => status);
  story.act(
    'sidecar',
    `the questions are asked again: ${first}, ${second}; the order is not, it may have been done: ${order}`,
  );
  story.measure('sound', {
    'requests saved by asking again': [first, second].filter((status) => status === 200).length,
  });
  story.claim('sound: the app is dead: 502', dead.status === 502);
  story.claim('sound: it is back, and traffic with it', back.status === 200);
  story.claim(
    'sound: what is safe to repeat was repeated, and nothing else',
    first === 200 && second === 200 && order === 502,
  );
  return Object.assign(successor, { upstream: app.upstream });
}

async function metricsOf({ adminUrl }: Running): Promise<string> {
  return (await fetch(`${adminUrl}/metrics`)).text();
}
