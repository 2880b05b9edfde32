/** The sound half: one app and one line to it, with one sidecar after the other in between. */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { findExtra } from '@patterns/services/extras';
import { redisKeyspace } from '@patterns/services/keyspace';
import { findRedis } from '@patterns/services/redis';
import { type App, startApp } from './beside.ts';
import { OPEN_MS, replaceApp, silenceApp } from './demo-faults.ts';
import { LIMIT, showLimit, showRedisAway } from './demo-limit.ts';
import { seenBy, showCache, showForwarding, showLog, showTokens, tokenMaker } from './demo-powers.ts';
import { openScene, PATIENCE_MS, type Running, type Scene, showEntry } from './demo-stage.ts';

export async function runSound(stage: Stage): Promise<void> {
  const { story, signal, use } = stage;
  const scene = await openScene(stage);
  const redis = use(await findRedis({ signal }));
  const keys = use(redisKeyspace(redis.url, 'sidecar-demo'));
  const redisLine = use(await startFaultProxy(redis.url));
  const app = use(await startApp('app.ts', { signal }));
  const before = checksum();
  const isPrivate = (statSync(app.directory).mode & 0o077) === 0;
  story.measure('sound', { 'app reached past the sidecar': isPrivate ? 'no' : 'yes' });
  story.act('app', `listens on a Unix socket in a directory of its own; app.ts is sha256 ${before}`);

  const tokens = tokenMaker();
  const counting = { REDIS_URL: redisLine.url, REDIS_PREFIX: keys.prefix, LIMIT_MAX: `${LIMIT}` };
  const patience = { HEADERS_TIMEOUT_MS: '1500', BREAKER_FAILURES: '4', BREAKER_OPEN_MS: `${OPEN_MS}` };
  const { upstream } = app;
  const logging = scene.sidecar(upstream, 'log', patience);
  const limiting = scene.sidecar(upstream, 'limit', counting);
  const caching = scene.sidecar(upstream, 'tokens,cache', { ...tokens.env, PUBLIC_PATHS: '/menu' });
  for (const each of [limiting, caching]) each.catch(() => {}); // awaited when it is their turn

  await showForwarding(stage, scene, await logging);
  await showLog(stage, scene, await logging);
  await showLimit(stage, scene, await limiting);
  await showTokens(stage, scene, await caching, tokens);
  await showCache(stage, scene);
  await silenceApp(stage, scene, await logging, app);
  const successor = await replaceApp(stage, scene, await logging, app);
  await showRedisAway(stage, scene, await limiting, redisLine);

  if (findExtra('python')) await showPython(stage, scene, await logging, successor);
  else story.act('app', 'in Python is skipped: there is no python3 here');

  const after = checksum();
  story.act('app', `is still sha256 ${after}`);
  story.claim('sound: the app is reached through the sidecar only', isPrivate);
  story.claim('sound: not a line of the app was changed', before === after);
}

/** An app in another language takes the place of the first. The sidecar is not told. */
export async function showPython(
  { story, signal, use }: Stage,
  { ask, goThrough }: Scene,
  { url, entries }: Running,
  app: App,
): Promise<void> {
  const socket = app.upstream.slice('unix:'.length);
  const next = join(dirname(socket), 'python.sock');
  use(await startApp('app.py', { signal, socket: next }));
  renameSync(next, socket);
  await app.kill('SIGTERM');
  goThrough({ url }, 'with POWERS=log, still the same process');
  story.act('app', "is another one now, on Python's standard library");
  const answer = await ask('/echo?page=9', { headers: { 'X-Forwarded-For': '10.9.8.7' } });
  const entry = await entries.find('the line', ({ query }) => JSON.stringify(query) === '{"page":"9"}', {
    withinMs: PATIENCE_MS,
  });
  story.act('sidecar', showEntry(entry));
  story.claim(
    'sound: the same powers, the same process, in front of an app in Python',
    seenBy(answer)['x-forwarded-for'] === '127.0.0.1',
  );
}

const checksum = () =>
  createHash('sha256')
    .update(readFileSync(new URL('app.ts', import.meta.url)))
    .digest('hex')
    .slice(0, 16);
