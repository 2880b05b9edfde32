/** Which broker a name means, and what is said when it means none. */
import { describe, expect, test } from 'vitest';
import { openQueue } from '../brokers.ts';
import { DELAYS_MS, delayQueue } from '../rabbitmq-topology.ts';

describe('the name of a broker', () => {
  test.each([
    ['rabitmq', 'there is no broker "rabitmq": did you mean rabbitmq?'],
    ['kafka-streams', 'there is no broker "kafka-streams": there are redis, postgres, rabbitmq, sqs'],
    ['toString', 'there is no broker "toString": there are redis, postgres, rabbitmq, sqs'],
  ])('%s is none', async (name, message) => {
    await expect(openQueue(name, { name: 'jobs' }, {})).rejects.toMatchObject({ name: 'ConfigError', message });
  });

  test.each([
    ['redis', 'REDIS_URL'],
    ['postgres', 'DATABASE_URL'],
    ['rabbitmq', 'AMQP_URL'],
    ['sqs', 'SQS_ENDPOINT'],
  ])('%s is looked for at %s, whose value is not told', async (broker, variable) => {
    const open = (env: Record<string, string>) => openQueue(broker, { name: 'jobs' }, env);
    await expect(open({})).rejects.toThrow(`${variable} is not set`);
    await expect(open({ [variable]: 'secret' })).rejects.toMatchObject({
      message: expect.not.stringMatching(/secret/),
    });
  });
});

describe('a delay on RabbitMQ', () => {
  test.each([
    [1, 100],
    [100, 100],
    [101, 200],
    [3_000, 5_000],
    [86_400_000, 100_000_000],
  ])('of %s ms is a stay of %s ms', (delayMs, stayMs) => {
    const { queue, options } = delayQueue('jobs', delayMs);
    expect(queue).toBe(`jobs.delay.${stayMs}`);
    expect(options.arguments).toMatchObject({ 'x-message-ttl': stayMs, 'x-dead-letter-routing-key': 'jobs' });
  });

  test('of more than the longest is refused', () => {
    expect(() => delayQueue('jobs', DELAYS_MS.at(-1)! + 1)).toThrow(/is not supported/);
  });
});
