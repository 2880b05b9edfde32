import { once } from 'node:events';
import { symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { composeRedisUrl } from '../compose.ts';
import { freePort, onFreePort } from '../free-port.ts';
import { findProgram } from '../program.ts';
import { findRedis, locateRedis } from '../redis.ts';
import { redisPrograms, startRedis } from '../start-redis.ts';
import { requireRedis } from '../testing.ts';
import { temporaryFolder } from './temporary-folder.ts';

const { PATH } = process.env;
const root = process.getuid?.() === 0;

async function ping(url: string): Promise<string> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    return await redis.ping();
  } finally {
    redis.disconnect();
  }
}

requireRedis()('REDIS_URL', () => {
  test('is used when its server answers, and its password is not shown', async () => {
    await using server = await startRedis({ args: ['--requirepass', 's3cret'] });
    const url = `redis://:s3cret@127.0.0.1:${server.port}`;
    await using redis = await findRedis({ env: { PATH, REDIS_URL: url } });
    expect(redis).toMatchObject({
      url,
      origin: 'environment',
      about: expect.stringContaining(`127.0.0.1:${server.port}`),
    });
    expect(redis.about).not.toContain('s3cret');
    await redis[Symbol.asyncDispose]();
    expect(await ping(url)).toBe('PONG'); // not ours to end
  });

  test('is an error when its server does not answer, even where another one would', async () => {
    await using other = await startRedis({ args: ['--requirepass', 'patterns'] });
    const env = { PATH, REDIS_URL: `redis://:s3cret@127.0.0.1:${await freePort()}` };
    const failure = await findRedis({ env, composePort: other.port }).catch((error: Error) => error);
    expect(failure).toMatchObject({ code: 'unreachable', message: expect.stringMatching(/^REDIS_URL .*ECONNREFUSED/) });
    expect((failure as Error).message).not.toContain('s3cret');
  });

  test('is an error when the server refuses its password', async () => {
    await using server = await startRedis({ args: ['--requirepass', 's3cret'] });
    const env = { PATH, REDIS_URL: `redis://:wrong@127.0.0.1:${server.port}` };
    await expect(findRedis({ env })).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('WRONGPASS'),
    });
  });
});

describe('REDIS_URL without a Redis behind it', () => {
  test('is an error when what listens there says nothing', async () => {
    await using mute = createServer().listen(0, '127.0.0.1');
    await once(mute, 'listening');
    mute.on('connection', (socket) => socket.resume().on('error', () => {}));
    const env = { REDIS_URL: `redis://127.0.0.1:${(mute.address() as AddressInfo).port}` };
    await expect(findRedis({ env })).rejects.toMatchObject({ code: 'unreachable' });
  });

  test.each(['localhost:6379', 'http://localhost', 'redis//x', 'redis://'])('%s is malformed', async (REDIS_URL) => {
    await expect(findRedis({ env: { REDIS_URL } })).rejects.toMatchObject({
      code: 'invalid-url',
      message: 'REDIS_URL is not a URL of the form redis://user:password@host:port: correct it, or unset it',
    });
  });
});

requireRedis()('the server of docker-compose.yml', () => {
  test('is used when it answers to its password', async () => {
    await using server = await startRedis({ args: ['--requirepass', 'patterns'] });
    await using redis = await findRedis({ env: { PATH }, composePort: server.port });
    expect(redis).toMatchObject({ url: composeRedisUrl(server.port), origin: 'compose' });
    expect(await ping(redis.url)).toBe('PONG');
  });

  test.each([[[]], [['--requirepass', 'another']]])('is not taken for one with %j on that port', async (args) => {
    await using server = await startRedis({ args });
    expect(await locateRedis({ env: { PATH }, composePort: server.port })).toMatchObject({ from: 'program' });
  });
});

requireRedis()('a Redis of our own', () => {
  test('answers, on 127.0.0.1 only, and is gone with its directory after disposal', async () => {
    const redis = await findRedis({ env: { PATH }, composePort: await freePort() });
    expect(redis).toMatchObject({
      origin: 'started',
      about: expect.stringMatching(/^started (redis|valkey)-server [\d.]+ on 127\.0\.0\.1:\d+, gone when this ends$/),
    });
    const client = new Redis(redis.url);
    expect(await client.config('GET', 'bind')).toEqual(['bind', '127.0.0.1']);
    client.disconnect();
    await redis[Symbol.asyncDispose]();
    await expect(ping(redis.url)).rejects.toThrow();
  });

  test('comes back after kill -9 on its port, with everything that it had answered', async () => {
    await using redis = await startRedis({ persist: true });
    const { pid } = redis;
    await using client = Object.assign(new Redis(redis.url, { retryStrategy: () => null, lazyConnect: true }), {
      async [Symbol.asyncDispose]() {
        client.disconnect();
      },
    });
    client.on('error', () => {});
    await client.set('kept', 'yes');
    await redis.kill();
    expect(redis.pid).toBe(0);
    await expect(ping(redis.url)).rejects.toThrow();
    await redis.restart();
    expect(redis.pid).not.toBe(pid);
    await client.connect();
    expect(await client.get('kept')).toBe('yes');
  });

  test('takes another port when its own was taken in between', async () => {
    const tried: number[] = [];
    await using occupant = createServer();
    await using redis = await onFreePort(async (port) => {
      tried.push(port);
      if (tried.length === 1) await once(occupant.listen(port, '127.0.0.1'), 'listening');
      return await startRedis({ port });
    });
    expect(tried).toHaveLength(2);
    expect(redis.port).toBe(tried[1]);
  });
});

describe('programs', () => {
  test('one that is too old is named, and not started', async () => {
    await using folder = await temporaryFolder();
    const program = join(folder.path, 'redis-server');
    await writeFile(program, '#!/bin/sh\necho "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1"\n', {
      mode: 0o755,
    });
    await expect(findRedis({ env: { PATH: folder.path }, composePort: await freePort() })).rejects.toMatchObject({
      code: 'too-old',
      message: `${program} is version 6.0.16: Redis 7 or newer is needed`,
    });
  });

  test('without any, and without a package manager that we may use, the error says what to do', async () => {
    await using folder = await temporaryFolder();
    const failure = findRedis({ env: { PATH: folder.path }, composePort: await freePort() });
    await expect(failure).rejects.toMatchObject({
      code: 'not-installed',
      message: expect.stringMatching(/^no Redis: .+ or `docker compose up -d --wait`, or set REDIS_URL$/),
    });
  });

  test('with apt-get, root would install it, and another is told how', async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, 'apt-get'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const source = locateRedis({ env: { PATH: folder.path }, composePort: await freePort() });
    if (root) expect(await source).toEqual({ from: 'apt' });
    else await expect(source).rejects.toThrow('run `sudo apt-get install -y redis-server`');
  });

  test.skipIf(findProgram(redisPrograms) === undefined)('valkey-server will do', async () => {
    await using folder = await temporaryFolder();
    await symlink(findProgram(redisPrograms) ?? '', join(folder.path, 'valkey-server'));
    expect(await locateRedis({ env: { PATH: folder.path }, composePort: await freePort() })).toEqual({
      from: 'program',
      program: join(folder.path, 'valkey-server'),
    });
  });
});
