import { startProcess } from '@patterns/kit/testing/processes';
import { requirePostgres } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';

requirePostgres()('the demo', () => {
  // Some 10 s on a quiet machine: a hostile query is carried out to its end.
  test('shows what it claims: naive pays for a stranger, sound refuses, and neither way is always better', {
    timeout: 120_000,
  }, async () => {
    const env = { DATABASE_URL: inject('databaseUrl') };
    await using demo = startProcess(new URL('../demo.ts', import.meta.url), { env });
    const { code } = await demo.exited;
    expect(code, demo.output()).toBe(0);
  });
});
