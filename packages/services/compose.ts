/**
 * What docker-compose.yml publishes: its own ports and its own credentials, so that no server that was there before is
 * ever touched. A test compares the two files.
 */
export const compose = {
  redis: { port: 56_379, password: 'patterns' },
  postgres: { port: 55_432, user: 'patterns', password: 'patterns', database: 'patterns' },
  // No password, but an identity: 16 bytes in base64url. This one reads "backends-talking".
  kafka: { port: 59_092, clusterId: 'YmFja2VuZHMtdGFsa2luZw' },
  rabbitmq: { port: 55_672, user: 'patterns', password: 'patterns' },
  // It speaks SQS' protocol, and takes any credentials.
  sqs: { port: 59_324 },
  jaeger: { otlpPort: 54_318, uiPort: 56_686 },
} as const;

export function composeRedisUrl(port: number = compose.redis.port): string {
  return `redis://:${compose.redis.password}@127.0.0.1:${port}`;
}

export function composePostgresUrl(port: number = compose.postgres.port): string {
  const { user, password, database } = compose.postgres;
  return `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
}

/** `host:port`. */
export function composeKafkaAddress(port: number = compose.kafka.port): string {
  return `127.0.0.1:${port}`;
}

export function composeRabbitmqUrl(port: number = compose.rabbitmq.port): string {
  const { user, password } = compose.rabbitmq;
  return `amqp://${user}:${password}@127.0.0.1:${port}`;
}

/** For SQS_ENDPOINT. */
export function composeSqsUrl(port: number = compose.sqs.port): string {
  return `http://127.0.0.1:${port}`;
}
