import { requirePostgres } from '@patterns/services/testing';
import { inject } from 'vitest';
import { postgresGuarantees } from '../postgres-queue-lease.ts';
import { postgresTransactionGuarantees } from '../postgres-queue-transaction.ts';
import { guaranteesOf } from './guarantees.ts';
import { startPostgresRig } from './postgres-rig.ts';

requirePostgres()('queues in PostgreSQL', () => {
  const url = inject('databaseUrl');
  guaranteesOf({
    name: 'postgres',
    guarantees: postgresGuarantees,
    start: (clause) => startPostgresRig(url, 'lease', clause),
  });
  guaranteesOf({
    name: 'postgres-transaction',
    guarantees: postgresTransactionGuarantees,
    start: (clause) => startPostgresRig(url, 'transaction', clause),
  });
});
