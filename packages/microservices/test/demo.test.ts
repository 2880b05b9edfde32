import { startProcess } from '@patterns/kit/testing/processes';
import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';

requirePostgres()('the demo', () => {
  const title = 'shows what it claims: naive charges twice, hangs and does not add up, sound does none of it';
  test(title, { timeout: 180_000 }, async () => {
    await using database = await createDatabase(inject('databaseUrl'), 'demo');
    await using demo = startProcess(new URL('../demo.ts', import.meta.url), { env: { DATABASE_URL: database.url } });
    const { code } = await demo.exited;
    expect(code, demo.output()).toBe(0);
  });
});
