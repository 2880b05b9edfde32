import { createServer } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { getUsers, postTransfer } from '../client.ts';
import { withServer } from './bank.ts';

requirePostgres()('the client', () => {
  test('asks again for what it reads, when a busy server says when', async () => {
    await using use = await withServer({ lockTimeoutMs: 50 });
    const lock = await use.bank.lockUsers();
    const users = getUsers(use.url);
    await refused(use.url);
    await lock[Symbol.asyncDispose]();
    expect(await users).toHaveLength(50);
  });

  test('does not ask again for a transfer', async () => {
    await using use = await withServer({ lockTimeoutMs: 50 });
    await using _lock = await use.bank.lockUsers();
    await expect(postTransfer(use.url, { from: 1, to: 2, amount: 5 })).rejects.toMatchObject({
      status: 503,
      options: { headers: { 'Retry-After': '1' }, detail: expect.stringContaining('nothing was done') },
    });
  });

  test('gives up a server that does not answer', async () => {
    await using silent = await listen(
      createServer(() => {}),
      { graceMs: 0 },
    );
    await expect(getUsers(silent.url, { timeoutMs: 50 })).rejects.toMatchObject({ name: 'TimeoutError' });
  });
});

/** Until the server has refused one more read than the one under way. */
async function refused(url: string): Promise<void> {
  await expect(getUsers(url, { attempts: 1 })).rejects.toMatchObject({ status: 503 });
}
