/** The chaos run in a small size, with three seeds, one after the other in the same town; the command does it with many more orders. */

import { redisKeyspace } from '@patterns/services/keyspace';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { shake } from '../chaos.ts';
import { type ChaosTown, openChaosTown } from '../chaos-town.ts';

/** Between them each victim there is comes to its turn. */
const SEEDS = [1, 2, 3];
const KILLS = 8;
const ORDERS = 24;

requireRedis()('chaos', () => {
  requirePostgres()('in one town', () => {
    const stack = new AsyncDisposableStack();
    const { signal } = new AbortController();
    let town: ChaosTown;
    const killed = new Set<string>();

    beforeAll(async () => {
      const { prefix } = stack.use(redisKeyspace(inject('redisUrl'), 'chaos'));
      const env = { DATABASE_URL: inject('databaseUrl'), REDIS_URL: inject('redisUrl'), REDIS_PREFIX: prefix };
      town = stack.use(await openChaosTown({ env, signal }));
    }, 120_000);
    afterAll(() => stack.disposeAsync());

    test.for(SEEDS)(
      'seed %i: every order in one final state, the money adds up, everybody told once',
      {
        timeout: 120_000,
      },
      async (seed) => {
        const said: string[] = [];
        const before = town.ordered.size;
        const say = (line: string) => said.push(line);
        const { counted, wrong } = await shake(town, {
          seed,
          kills: KILLS,
          items: ORDERS,
          deadlineMs: 100_000,
          say,
          signal,
        });
        for (const name of Object.keys(counted)) if (name.startsWith('killed: ')) killed.add(name);
        expect(wrong, said.join('\n')).toEqual([]);
        expect(counted.orders).toBeGreaterThanOrEqual(before + ORDERS);
        expect(said.filter((line) => /kill -9|cut|terminated/.test(line))).toHaveLength(KILLS);
      },
    );

    test('and nobody was spared', () => {
      expect(killed.size).toBe(11); // nine services, Redis, PostgreSQL
    });
  });
});
