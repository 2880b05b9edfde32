import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listen } from '@patterns/kit/listen';
import { until } from '@patterns/kit/testing/until';
import { findExtra } from '@patterns/services/extras';
import { freePort } from '@patterns/services/free-port';
import { requireExtra } from '@patterns/services/testing';
import compression from 'compression';
import { expect, test } from 'vitest';
import { STREAM_HEADERS } from '../protocol.ts';
import { openStream, price, startTicker } from './ticker.ts';

requireExtra('nginx')('behind nginx', () => {
  test.each([
    ['in its default configuration', ''],
    ['that compresses event streams', 'gzip on; gzip_types text/event-stream; gzip_min_length 0; gzip_proxied any;'],
  ])('%s each event arrives before the next one is sent', async (_how, settings) => {
    await using ticker = await startTicker();
    await using nginx = await startNginx(ticker.url, settings);
    await using stream = await openStream(nginx.url, { headers: { 'Accept-Encoding': 'gzip' } });
    expect(await stream.blocks.next()).toMatch(/^retry: /);
    for (let n = 1; n <= 5; n++) {
      await ticker.feed.append('ACME', price(n));
      expect(await stream.blocks.next()).toContain(`"n":${n}`);
    }
  });
});

test('compressing middleware lets each event through at once', async () => {
  const compress = compression({ threshold: 0, filter: () => true });
  await using server = await listen(
    createServer((request, response) => {
      compress(request as never, response as never, () => {
        response.writeHead(200, STREAM_HEADERS).write('data: 1\n\n'); // and no more: the stream stays open
      });
    }),
    { graceMs: 0 },
  );
  await using stream = await openStream(server.url, { headers: { 'Accept-Encoding': 'gzip' } });
  expect(await stream.blocks.next()).toBe('data: 1');
});

/** A real nginx with nothing but a `proxy_pass` to its name. */
async function startNginx(upstream: string, settings: string) {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'patterns-nginx-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const port = await freePort();
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr warn;
    events {}
    http {
      access_log off; ${folders.join(' ')} ${settings}
      server { listen 127.0.0.1:${port}; location / { proxy_pass ${upstream}; } }
    }`,
  );
  const nginx = spawn(findExtra('nginx')!, ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' });
  const exited = once(nginx, 'exit');
  stack.defer(async () => {
    nginx.kill();
    await exited;
  });
  const url = `http://127.0.0.1:${port}`;
  await until('nginx answers', () =>
    fetch(`${url}/metrics`).then(
      (response) => response.text(),
      () => false,
    ),
  );
  const owned = stack.move();
  return { url, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
