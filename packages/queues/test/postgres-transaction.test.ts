import { requirePostgres } from '@patterns/services/testing';
import { inject } from 'vitest';
import { postgresTransactionGuarantees } from '../postgres-queue-transaction.ts';
import { guaranteesOf } from './guarantees.ts';
import { startPostgresRig } from './postgres-rig.ts';

requirePostgres()('a queue in PostgreSQL, held by transactions', () => {
  const start = startPostgresRig(inject('databaseUrl'), 'transaction');
  guaranteesOf({ name: 'postgres-transaction', guarantees: postgresTransactionGuarantees, start });
});
