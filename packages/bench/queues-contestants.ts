/** Who is compared in the queues benchmark. */
import * as postgres from './queues-postgres.ts';
import * as redis from './queues-redis.ts';

export const CONTESTANTS = { ...redis.contestants, ...postgres.contestants };
export type ContestantName = keyof typeof CONTESTANTS;

export const isOnRedis = (name: string): boolean => Object.hasOwn(redis.contestants, name);
