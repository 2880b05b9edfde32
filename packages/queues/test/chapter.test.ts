import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BROKERS } from '../brokers.ts';
import { postgresGuarantees } from '../postgres-queue-lease.ts';
import { postgresTransactionGuarantees } from '../postgres-queue-transaction.ts';
import type { Clause } from '../queue.ts';
import { RABBITMQ_GUARANTEES } from '../rabbitmq-guarantees.ts';
import { redisGuarantees } from '../redis-queue.ts';
import { SQS_FIFO_GUARANTEES, SQS_GUARANTEES } from '../sqs-guarantees.ts';

/** By the names that the suites have (`guaranteesOf`): each proves its column. */
const declared = {
  redis: redisGuarantees,
  postgres: postgresGuarantees,
  'postgres-transaction': postgresTransactionGuarantees,
  rabbitmq: RABBITMQ_GUARANTEES,
  sqs: SQS_GUARANTEES,
  'sqs-fifo': SQS_FIFO_GUARANTEES,
};
const read = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');

test('the chapter shows what each broker declares', () => {
  const clauses = Object.keys(redisGuarantees) as Clause[];
  const rows = clauses.map((clause) => {
    const cells = Object.values(declared).map((each) => (each[clause] === true ? 'kept' : 'not kept'));
    return `| \`${clause}\` | ${cells.join(' | ')} |`;
  });
  const names = Object.keys(declared);
  const table = [`| | ${names.join(' | ')} |`, `| ---${' | ---'.repeat(names.length)} |`, ...rows].join('\n');
  expect(read('../README.md')).toContain(table);
});

test('pnpm dev:queues offers the brokers that there are', () => {
  expect(JSON.parse(read('../package.json')).pattern.choices.broker).toEqual(BROKERS);
});
