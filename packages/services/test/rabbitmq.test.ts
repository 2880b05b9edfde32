/** Which RabbitMQ is found, and that one of our own is reached by nobody else and leaves nothing. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../free-port.ts';
import { findRabbitmq, locateRabbitmq } from '../rabbitmq.ts';
import { requireExtra } from '../testing.ts';
import { alive, descendants } from './process-table.ts';
import { type TemporaryFolder, temporaryFolder } from './temporary-folder.ts';

const { PATH = '' } = process.env;

/** Six seconds on a quiet machine, half a minute the first time on a busy one. */
const startMs = 90_000;

// One start, which takes ten seconds, for all of these.
requireExtra('rabbitmq')('a RabbitMQ of our own', () => {
  let folder: TemporaryFolder;
  let owner: ChildProgram;
  let url: URL;
  beforeAll(async () => {
    folder = await temporaryFolder();
    owner = startProcess(new URL('fixtures/rabbitmq-owner.ts', import.meta.url), { env: { TMPDIR: folder.path } });
    url = new URL((await owner.line(/^up/, { withinMs: startMs })).split(' ')[2] ?? '');
  }, startMs);
  afterAll(async () => {
    await owner?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  test('answers to its own password', async () => {
    await using rabbitmq = await findRabbitmq({ env: { PATH, AMQP_URL: url.href } });
    expect(rabbitmq).toMatchObject({ url: url.href, origin: 'environment' });
    expect(rabbitmq.about).toMatch(/^using AMQP_URL amqp:\/\/patterns:\*\*\*@127\.0\.0\.1:\d+, RabbitMQ \d+\.\d+/);
  });

  test('and to no other: AMQP_URL with a wrong one is an error that does not tell it', async () => {
    const AMQP_URL = `amqp://patterns:${'wrong'}@${url.host}`;
    await expect(locateRabbitmq({ env: { PATH, AMQP_URL } })).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/patterns:\*\*\*@.*it refuses the user or the password/),
    });
  });

  test('is not taken for the one of docker-compose.yml, whose password it does not know', async () => {
    expect(await locateRabbitmq({ env: { PATH }, composePort: Number(url.port) })).toMatchObject({ from: 'program' });
  });

  test('cannot be reached from another machine', async () => {
    const outside = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    for (const { address } of outside.filter(({ internal, family }) => !internal && family === 'IPv4')) {
      const socket = connect(Number(url.port), address);
      await expect(once(socket, 'connect'), address).rejects.toThrow(/ECONNREFUSED/);
    }
  });

  test('an owner killed with -9 leaves no Erlang, no epmd and no directory', async () => {
    const family = await descendants(owner.pid);
    expect(family.length).toBeGreaterThanOrEqual(4); // supervisor, script, Erlang, epmd
    await owner.kill('SIGKILL');
    await until('all processes gone', async () => (await alive(family)).length === 0);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('patterns-'))).toEqual([]);
  });
});

describe('AMQP_URL', () => {
  test('is an error when nobody answers, wherever else there is a RabbitMQ', async () => {
    const env = { PATH, AMQP_URL: `amqp://127.0.0.1:${await freePort()}` };
    await expect(locateRabbitmq({ env })).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('is an error when what listens there is something else', async () => {
    await using other = createServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    );
    await once(other.listen(0, '127.0.0.1'), 'listening');
    const env = { AMQP_URL: `amqp://127.0.0.1:${(other.address() as AddressInfo).port}` };
    await expect(locateRabbitmq({ env })).rejects.toThrow(/does not answer \(what listens there is no RabbitMQ\)/);
  });

  test.each(['localhost', 'http://localhost:5672', 'amqp://'])('%s is malformed', async (AMQP_URL) => {
    await expect(locateRabbitmq({ env: { AMQP_URL } })).rejects.toMatchObject({ code: 'invalid-url' });
  });
});
