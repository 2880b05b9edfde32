import { startProcess } from '@patterns/kit/testing/processes';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';

requirePostgres()('the demo', () => {
  // Some 15 s on a quiet machine: it waits for answers that do not come.
  test('shows what it claims: naive fails in five ways, sound in none', { timeout: 120_000 }, async () => {
    await using demo = startProcess(new URL('../demo.ts', import.meta.url));
    const { code } = await demo.exited;
    expect(code, demo.output()).toBe(0);
  });
});
