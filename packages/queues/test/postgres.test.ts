import { requirePostgres } from '@patterns/services/testing';
import { inject } from 'vitest';
import { postgresGuarantees } from '../postgres-queue-lease.ts';
import { guaranteesOf } from './guarantees.ts';
import { startPostgresRig } from './postgres-rig.ts';

requirePostgres()('a queue in PostgreSQL, held by leases', () => {
  const start = startPostgresRig(inject('databaseUrl'), 'lease');
  guaranteesOf({ name: 'postgres', guarantees: postgresGuarantees, start });
});
