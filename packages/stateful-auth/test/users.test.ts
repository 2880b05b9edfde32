import { randomUUID } from 'node:crypto';
import { requirePostgres } from '@patterns/services/testing';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { openPool } from '../database.ts';
import { createHasher } from '../password.ts';
import { MOST_PREFERENCES, Users } from '../users.ts';

/** A thousandth of the real cost, where the cost is not what is tested. */
const CHEAP = { memory: 16, passes: 1, parallelism: 1 };

describe('a password’s digest', () => {
  test('is argon2id at the cost that OWASP recommends, with a salt of its own', async () => {
    const { hash, verify } = createHasher();
    const texts = await Promise.all([hash('secret'), hash('secret')]);
    expect(texts[0]).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
    expect(texts[0]).not.toBe(texts[1]);
    expect(await verify('secret', texts[0])).toEqual({ isRight: true, isOutdated: false });
  });

  test('is read as others write it: the reference implementation’s own example', async () => {
    const text = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    expect(await createHasher().verify('password', text)).toEqual({ isRight: true, isOutdated: true });
  });

  test('tells a wrong password, and takes the same letters for the same, however they are composed', async () => {
    const { hash, verify } = createHasher({ cost: CHEAP });
    const text = await hash('caf\u00e9 👩‍🍳');
    expect(await verify('cafe\u0301 👩‍🍳', text)).toMatchObject({ isRight: true });
    expect(await verify('cafe 👩‍🍳', text)).toMatchObject({ isRight: false });
  });

  test('is not read when it is something else', async () => {
    await expect(createHasher().verify('x', '$argon2i$v=19$m=16,t=1,p=1$c29tZXNhbHQ$abcd')).rejects.toThrow(TypeError);
  });

  test('is computed for few at a time; who comes when too many wait is told to come later', async () => {
    const { hash } = createHasher({ cost: CHEAP, concurrent: 1, waiting: 2 });
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => hash('x')));
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
    ]);
    expect((results[3] as PromiseRejectedResult).reason).toMatchObject({
      status: 503,
      options: { headers: { 'Retry-After': '1' } },
    });
    await expect(hash('x')).resolves.toMatch(/^\$argon2id/); // no place was lost
  });
});

requirePostgres()('the users', () => {
  let pool: pg.Pool;
  beforeAll(() => {
    pool = openPool(inject('databaseUrl'));
  });
  afterAll(() => pool.end());

  async function openUsers(cost = CHEAP) {
    let hashes = 0;
    const users = await Users.open(pool, createHasher({ cost, onHash: () => hashes++ }));
    const user = { name: `Zoë ${randomUUID()}`, password: 'tomato soup' };
    await users.create(user);
    return {
      users,
      user,
      hashesOf: async (work: () => Promise<unknown>): Promise<number> => {
        const before = hashes;
        await work();
        return hashes - before;
      },
    };
  }

  test('get in with their password; a wrong name costs as many digests as a wrong password', async () => {
    const { users, user, hashesOf } = await openUsers();
    expect(await users.authenticate(user)).toEqual(expect.any(Number));
    const wrongPassword = { ...user, password: 'tomato' };
    const wrongName = { ...user, name: 'nobody' };
    expect(await users.authenticate(wrongPassword)).toBeUndefined();
    expect(await users.authenticate(wrongName)).toBeUndefined();
    expect(await hashesOf(() => users.authenticate(wrongPassword))).toBe(1);
    expect(await hashesOf(() => users.authenticate(wrongName))).toBe(1);
  });

  test('are created once: the second time changes nothing', async () => {
    const { users, user } = await openUsers();
    await Promise.all([1, 2, 3].map(() => users.create({ ...user, password: 'another' })));
    expect(await users.authenticate(user)).toEqual(expect.any(Number));
  });

  test('have their digest made anew, at today’s cost, when they log in; and not by a wrong password', async () => {
    const { user } = await openUsers(CHEAP);
    const { users } = await openUsers({ ...CHEAP, passes: 2 });
    const kept = async () =>
      (await pool.query('select password from waiter.users where name = $1', [user.name])).rows[0].password;
    await users.authenticate({ ...user, password: 'wrong' });
    expect(await kept()).toMatch(/m=16,t=1,/);
    await users.authenticate(user);
    expect(await kept()).toMatch(/m=16,t=2,/);
    expect(await users.authenticate(user)).toEqual(expect.any(Number));
  });

  test('change their preferences at once from two sides, and lose none', async () => {
    const { users, user } = await openUsers();
    const id = (await users.authenticate(user))!;
    const many = Array.from({ length: MOST_PREFERENCES }, (_, i) => `preference ${i}`);
    await Promise.all(many.map((preference) => users.prefer(id, preference)));
    expect(new Set((await users.find(id))?.preferences)).toEqual(new Set(many));
    expect(await users.prefer(id, 'one too many')).toBe(false);
    expect(await users.prefer(id, many[0]!)).toBe(true); // it is there already
    await Promise.all(many.map((preference) => users.forget(id, preference)));
    expect((await users.find(id))?.preferences).toEqual([]);
  });
});
