/** The apps, which know nothing of a sidecar; and the sidecar that is started alone, with an app of its own. */
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { requireExtra } from '@patterns/services/testing';
import { describe, test } from 'vitest';
import { startApp } from '../beside.ts';
import { startSidecar } from '../sidecar.ts';
import { ask } from './contract-client.ts';

test.concurrent('started alone, it brings an app along; told to stop, it answers what is under way, and then tells the app', {
  timeout: 60_000,
}, async ({ expect }) => {
  const env = { UPSTREAM: undefined, REDIS_URL: undefined, POWERS: 'log', PORT: undefined, ADMIN_PORT: undefined };
  await using program = startProcess(new URL('../sidecar.ts', import.meta.url), { env });
  const url = await program.url(40_000); // three programs, one after the other
  const socket = /unix:(\S+);/.exec(await program.line(/^in front of/))![1]!;
  const admin = /http:\S+(?=\/ready)/.exec(program.output())![0];
  expect(statSync(dirname(socket)).mode & 0o077).toBe(0); // the app is nobody else's to ask
  const upload = request(`${url}/echo`, { method: 'POST', agent: false }); // under way until we end it
  const answered = once(upload, 'response') as Promise<[IncomingMessage]>;
  upload.write('under');
  await until('it is at the app', async () => /asking 1$/m.test((await ask(admin, '/metrics')).body));
  const exit = program.kill('SIGTERM');
  const isRefused = () =>
    ask(url).then(
      () => false,
      () => true,
    );
  await until('it accepts nobody', isRefused);
  expect(await statusOf({ socketPath: socket, path: '/api/data', agent: false })).toBe(200); // the app has not been told yet
  upload.end(' way');
  const [answer] = await answered;
  expect(JSON.parse(await text(answer))).toMatchObject({ bytes: 9 });
  expect(await exit).toEqual({ code: 0, signal: null });
  expect(existsSync(dirname(socket))).toBe(false); // the app is gone, and its socket with it
  expect(program.output()).toMatch(/"path":"\/echo","status":200/); // the last line is written
});

for (const file of ['app.ts', 'app.py'] as const) {
  const suite = file === 'app.py' ? requireExtra('python') : describe;
  suite(`${file} behind a sidecar`, () => {
    test.concurrent('answers; its event stream comes through at once; killed, it comes back on the same socket', {
      timeout: 60_000,
    }, async ({ expect }) => {
      await using app = await startApp(file);
      await using sidecar = await startSidecar({ upstream: app.upstream, engine: 'undici', accessLog: false });
      const { url } = sidecar;
      expect(JSON.parse((await ask(url, '/api/data')).body)).toEqual({ data: 'some important data' });
      const order = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"dish":"soup"}' };
      expect(JSON.parse((await ask(url, '/orders', order)).body)).toEqual({ ordered: { dish: 'soup' } });
      const menus = [await ask(url, '/menu'), await ask(url, '/menu')];
      expect(menus[1]).toMatchObject({ body: menus[0]!.body, headers: { age: '0' } });
      expect(JSON.parse((await ask(url, '/echo')).body).headers).toMatchObject({ via: '1.1 sidecar' });
      expect(await firstOf(`${url}/events`)).toBe('data: 1\n\n');

      await app.kill();
      expect((await ask(url, '/api/data')).status).toBe(502);
      expect((await ask(sidecar.adminUrl, '/ready')).status).toBe(503);
      await app.restart();
      expect((await ask(url, '/api/data')).status).toBe(200);
      expect((await ask(sidecar.adminUrl, '/ready')).status).toBe(200);
    });
  });
}

/** Asks past the sidecar. */
function statusOf(options: RequestOptions): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asking = request(options, (response) => resolve(response.resume().statusCode));
    asking.on('error', reject).end();
  });
}

/** The first piece of an answer that goes on. */
function firstOf(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { agent: false }, (response) => {
      response.once('data', (chunk: Buffer) => {
        resolve(chunk.toString());
        asking.destroy();
      });
    });
    asking.on('error', reject).end();
  });
}
