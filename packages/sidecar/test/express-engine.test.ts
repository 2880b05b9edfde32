/** The contract, kept by Express, express-http-proxy and express-rate-limit. */
import { requireRedis } from '@patterns/services/testing';
import { contractOf } from './contract.ts';

requireRedis()('with Redis', () => contractOf('express'));
