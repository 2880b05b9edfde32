import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { openDatabase } from '../database.ts';
import { poolSize, replicasAllowed } from '../sizing.ts';
import { openBank } from './bank.ts';

test.for([
  [{ databaseCores: 4 }, 9],
  [{ databaseCores: 4, replicas: 3 }, 3],
  [{ databaseCores: 16, spindles: 0 }, 32],
  [{ databaseCores: 2, replicas: 20 }, 1],
] as const)('%j is a pool of %i', ([sizing, size]) => {
  expect(poolSize(sizing)).toBe(size);
});

requirePostgres()('replicas and the server’s limit', () => {
  test('as many replicas as the numbers allow can connect, and the next cannot', async () => {
    await using bank = await openBank();
    await using stack = new AsyncDisposableStack();
    const { username } = new URL(bank.url);
    expect(username).not.toBe('');
    const url = new URL(bank.url);
    url.username = `patterns_sizing_${crypto.randomUUID().slice(0, 8)}`; // a limit holds for a role that is no superuser
    url.password = 'sizing';
    await bank.query(`create role ${url.username} login password 'sizing' connection limit 10`);
    stack.defer(async () => void (await bank.query(`drop role ${url.username}`)));

    const size = 4;
    const allowed = replicasAllowed(size, { maxConnections: 10, reserved: 0 });
    const replica = () => stack.use(openDatabase({ url: url.href, size }));
    for (let n = 1; n <= allowed; n++) await replica().warmUp();
    await expect(replica().warmUp()).rejects.toMatchObject({ code: 'unreachable', cause: { code: '53300' } }); // too_many_connections
  });
});
