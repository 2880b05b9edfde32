import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { postTransfer } from '../client.ts';
import { openBank } from './bank.ts';

/** Ten times what a server needs to start: the machine may be busy with other things. */
const START_MS = 30_000;

const server = (env: Record<string, string | undefined>) =>
  startProcess(new URL('../server.ts', import.meta.url), { env: { LOG_LEVEL: 'error', ...env } });

requirePostgres()('as processes', () => {
  test('on SIGTERM what is in flight finishes, nothing new is accepted, and the pool ends last', {
    timeout: 60_000,
  }, async () => {
    await using bank = await openBank();
    await using program = server({ DATABASE_URL: bank.url });
    const url = await program.url(START_MS);
    await using lock = await bank.lockUsers();
    const transfer = postTransfer(url, { from: 1, to: 2, amount: 500 });
    await until('it waits for the lock', bank.waitingForLock);
    const exited = program.kill('SIGTERM');
    await until('new connections are refused', () =>
      fetch(url).then(
        () => false,
        () => true,
      ),
    );
    await lock[Symbol.asyncDispose]();
    expect(await transfer).toMatchObject({ amount: 500 });
    expect(await exited).toEqual({ code: 0, signal: null });
    expect(await bank.backends()).toEqual([]);
  });

  test('a server run by hand brings its own database', { timeout: 60_000 }, async () => {
    await using program = server({ DATABASE_URL: undefined });
    const url = await program.url(START_MS);
    await using client = startProcess(new URL('../client.ts', import.meta.url), { args: [url] });
    expect(await client.exited, client.output()).toMatchObject({ code: 0 });
    expect(client.lines.items).toEqual([
      'User 1: 10000   User 2: 10000',
      'transfer 1: 500 from 1 to 2',
      'User 1: 9500   User 2: 10500',
    ]);
  });
});
