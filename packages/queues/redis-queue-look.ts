/** A queue in Redis as an operator looks at it: how deep it is, what was set aside, and putting that back. */
import type { Redis } from 'ioredis';
import { decodeJob, type Job } from './job.ts';
import type { DeadJob, Depth } from './queue.ts';
import { unavailable } from './redis-queue-connection.ts';
import { DEPTH, REDRIVE, run } from './redis-queue-scripts.ts';

/** `keys`: as the scripts have them. @throws {QueueError} `unavailable` */
export async function depthOf(redis: Redis, keys: string[]): Promise<Depth> {
  const [jobs, leased, delayed, dead, oldestAgeMs] = (await run(redis, DEPTH, keys)) as [
    number,
    number,
    number,
    number,
    number?,
  ];
  return { ready: jobs - leased, delayed, leased, dead, ...(oldestAgeMs === undefined ? {} : { oldestAgeMs }) };
}

/** The oldest first. @throws {QueueError} `unavailable` */
export async function deadOf(redis: Redis, [, , dead = '']: string[], limit: number): Promise<DeadJob[]> {
  try {
    const entries = await redis.xrange(dead, '-', '+', 'COUNT', limit);
    return entries.map(([id, [, text = '', , attempts = '', , reason = '']]) => {
      const job = jobIn(text);
      return { id, ...(job ? { job } : {}), text, attempts: Number(attempts), reason };
    });
  } catch (error) {
    throw unavailable(error);
  }
}

/** @returns how many were there. @throws {QueueError} `unavailable` */
export async function redrive(redis: Redis, keys: string[], ids: readonly string[]): Promise<number> {
  const possible = ids.filter((id) => /^\d{1,20}-\d{1,20}$/.test(id)); // Redis has no patience with others
  return possible.length === 0 ? 0 : ((await run(redis, REDRIVE, keys, possible)) as number);
}

function jobIn(text: string): Job | undefined {
  try {
    return decodeJob(text);
  } catch {
    return undefined;
  }
}
