/** Which Kafka is found, and that a protocol double is always called one. */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { startProcess } from '@patterns/kit/testing/processes';
import { describe, expect, test } from 'vitest';
import { compose } from '../compose.ts';
import { freePort } from '../free-port.ts';
import { findKafka, kafkaName, locateKafka } from '../kafka.ts';
import { kafkaMockName, startKafkaMock } from '../start-kafka-mock.ts';
import { requireExtra } from '../testing.ts';
import { alive } from './process-table.ts';
import { temporaryFolder } from './temporary-folder.ts';

const { PATH = '' } = process.env;
const double = `kafka (${kafkaMockName})`;

/** Answers each connection's first bytes with these, after size and correlation id. */
async function answering(body: string) {
  const server = createServer((socket) =>
    socket
      .on('error', () => {})
      .once('data', () => {
        const answer = Buffer.from(`\0\0\0\0\0\0\0\x01${body}`);
        answer.writeInt32BE(answer.length - 4, 0);
        socket.end(answer);
      }),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

requireExtra('kcat')("librdkafka's mock cluster", () => {
  test('answers on each of its brokers, and is gone after disposal', async () => {
    await using _leaks = noLeaks();
    const mock = await startKafkaMock();
    expect(mock.brokers).toHaveLength(3);
    for (const KAFKA_BROKERS of mock.brokers) await locateKafka({ env: { KAFKA_BROKERS } });
    const { pid } = mock;
    await mock[Symbol.asyncDispose]();
    expect(await alive([pid])).toEqual([]);
    const KAFKA_BROKERS = mock.brokers.join(',');
    await expect(locateKafka({ env: { KAFKA_BROKERS } })).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('is what is found where there is no Kafka, under its own name', async () => {
    await using kafka = await findKafka({ env: { PATH }, composePort: await freePort() });
    expect(kafka).toMatchObject({ origin: 'mock', name: double, double: true });
    expect(kafka.about).toMatch(/^started librdkafka's mock cluster, a protocol double, on 127\.0\.0\.1:/);
  });

  test('is called a double even where KAFKA_BROKERS passes it off as a Kafka', async () => {
    await using mock = await startKafkaMock({ brokers: 1 });
    await using kafka = await findKafka({ env: { KAFKA_BROKERS: mock.brokers.join(',') } });
    expect(kafka).toMatchObject({ origin: 'environment', name: double, double: true, brokers: mock.brokers });
  });
});

describe('KAFKA_BROKERS', () => {
  test('is used when one of them answers', async () => {
    await using server = await answering('\0\x0bsome-broker');
    const brokers = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${server.port}`];
    await using kafka = await findKafka({ env: { KAFKA_BROKERS: brokers.join(', ') } });
    expect(kafka).toMatchObject({ origin: 'environment', brokers, name: 'kafka', double: false });
  });

  test('is an error when none answers, even where kcat is installed', async () => {
    const env = { PATH, KAFKA_BROKERS: `127.0.0.1:${await freePort()}` };
    await expect(locateKafka({ env })).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/^KAFKA_BROKERS 127\.0\.0\.1:\d+ does not answer \(.*ECONNREFUSED/),
    });
  });

  test('is an error when what listens there is something else', async () => {
    await using other = createServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    );
    await once(other.listen(0, '127.0.0.1'), 'listening');
    const env = { KAFKA_BROKERS: `127.0.0.1:${(other.address() as AddressInfo).port}` };
    await expect(locateKafka({ env })).rejects.toThrow(/does not answer \(what listens there is no Kafka\)/);
  });

  test.each(['localhost', 'kafka://localhost:9092', 'a:1,,b:2', 'user:secret@host:1'])(
    '%s is malformed',
    async (value) => {
      const failure = await locateKafka({ env: { KAFKA_BROKERS: value } }).catch((error: Error) => error);
      expect(failure).toMatchObject({ code: 'invalid-url', message: expect.not.stringContaining(value) });
    },
  );
});

describe('the Kafka of docker-compose.yml', () => {
  test('is known by its cluster', async () => {
    await using server = await answering(`broker ${compose.kafka.clusterId}`);
    const source = await locateKafka({ env: {}, composePort: server.port });
    expect(source).toEqual({ from: 'compose', brokers: [`127.0.0.1:${server.port}`] });
    expect(kafkaName(source)).toBe('kafka');
  });

  test('another one on that port is left alone', async () => {
    await using server = await answering('broker somebody-elses-cluster');
    await expect(locateKafka({ env: { PATH: '' }, composePort: server.port })).rejects.toMatchObject({
      code: 'not-installed',
      message: expect.stringMatching(
        /^no Kafka: run `docker compose --profile brokers up -d --wait`, or set KAFKA_BROKERS/,
      ),
    });
  });
});

describe('a suite that needs Kafka', () => {
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
  const fixture = fileURLToPath(new URL('fixtures/with-kafka', import.meta.url));

  async function run(env: Record<string, string>) {
    await using empty = await temporaryFolder();
    await using process = startProcess(vitest, {
      args: ['run', '--root', fixture, '--reporter', 'verbose'],
      env: { PATH: empty.path, NO_COLOR: '1', KAFKA_BROKERS: '', REQUIRE_EXTRAS: undefined, VITEST: undefined, ...env },
    });
    const { code } = await process.exited;
    return { code, output: process.output() };
  }

  test('is skipped by name where there is none, and a failure with REQUIRE_EXTRAS=1', async () => {
    const skipped = await run({});
    expect(skipped.output).toMatch(/↓ .*guarantees of kafka \(no Kafka: .+\) > keeps them/);
    expect(skipped.code).toBe(0);
    expect(await run({ REQUIRE_EXTRAS: '1' })).toMatchObject({ code: 1 });
  });

  test('is a failure when KAFKA_BROKERS names one that does not answer', async () => {
    const { code, output } = await run({ KAFKA_BROKERS: '127.0.0.1:1' });
    expect(output).toContain('KAFKA_BROKERS 127.0.0.1:1 does not answer');
    expect(code).toBe(1);
  });

  requireExtra('kcat')('with kcat', () => {
    test('runs under the name of the double', async () => {
      const { code, output } = await run({ PATH });
      expect(output).toContain(`✓ suites.fixture.ts > guarantees of ${double} > keeps them`);
      expect(code).toBe(0);
    });
  });
});
