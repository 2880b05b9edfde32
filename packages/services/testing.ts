/**
 * Suites that need more than Node: each is run where its need is met, and elsewhere reported as skipped, under its own
 * name and with what is missing. With REQUIRE_EXTRAS=1 it fails instead: on a machine that should have everything, a
 * skipped test is a hole.
 */
import { describe, inject, test } from 'vitest';
import { type ExtraName, extras, findExtra, installCommand } from './extras.ts';
import { kafkaName, locateKafka } from './kafka.ts';
import { locateRabbitmq } from './rabbitmq.ts';
import { ServiceError } from './service.ts';

type Describe = (title: string, body: () => void) => void;

/** A `describe` for suites that need the run's Redis: `requireRedis()('a feed in Redis', () => { ... })`. */
export function requireRedis(): Describe {
  return describeUnless(inject('missing').redis);
}

/** A `describe` for suites that need the run's PostgreSQL. */
export function requirePostgres(): Describe {
  return describeUnless(inject('missing').postgres);
}

/** A `describe` for suites that need a program: `requireExtra('nginx')('behind nginx', () => { ... })`. Where it is
 *  installed, `findExtra('nginx')` has its path. */
export function requireExtra(name: ExtraName): Describe {
  if (findExtra(name) !== undefined) return describe;
  return describeUnless(`no ${name}: pnpm extras, or ${installCommand([extras[name]]) ?? 'install it'}`);
}

/** A `describe` for suites that need a Kafka, and what `findKafka` will find, by name: where it is only a protocol double,
 *  results must say so. Rejects when KAFKA_BROKERS names one that does not answer: a mistake, not a lack. */
export async function requireKafka(): Promise<{ describe: Describe; name: string }> {
  try {
    return { describe, name: kafkaName(await locateKafka()) };
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'not-installed') throw error;
    return { describe: describeUnless(error.message), name: 'kafka' };
  }
}

/** A `describe` for suites that need a RabbitMQ, and whether it is one that we start, and may kill. Rejects when AMQP_URL names one
 *  that does not answer: a mistake, not a lack. */
export async function requireRabbitmq(): Promise<{ describe: Describe; isOurs: boolean }> {
  try {
    return { describe, isOurs: (await locateRabbitmq()).from === 'program' };
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'not-installed') throw error;
    return { describe: describeUnless(error.message), isOurs: false };
  }
}

function describeUnless(missing: string | undefined): Describe {
  if (missing === undefined) return describe;
  if (process.env.REQUIRE_EXTRAS !== '1') return (title, body) => describe.skip(`${title} (${missing})`, body);
  return (title) =>
    test(title, () => {
      throw new Error(`${missing} (a failure because of REQUIRE_EXTRAS=1)`);
    });
}
