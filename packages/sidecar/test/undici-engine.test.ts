/** The contract, kept by node:http and undici. */
import { requireRedis } from '@patterns/services/testing';
import { contractOf } from './contract.ts';

requireRedis()('with Redis', () =>
  contractOf('undici', { 'OPTIONS *': 'undici sends no target but a path: it is answered 400' }),
);
