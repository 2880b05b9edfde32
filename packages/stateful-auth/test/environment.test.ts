import { ConfigError } from '@patterns/kit/env';
import { startProcess } from '@patterns/kit/testing/processes';
import { describe, expect, test } from 'vitest';
import { readSecrets } from '../environment.ts';

const LONG = 'x'.repeat(32);

describe('the secrets', () => {
  test('are separated by commas, in their order', () => {
    expect(readSecrets(`${LONG},${LONG}y`)).toEqual([LONG, `${LONG}y`]);
  });

  test.each([undefined, '', ',', 'my-secret-key', `${LONG},short`])('are refused when they are %s', (text) => {
    expect(() => readSecrets(text)).toThrow(ConfigError);
  });

  test('that are too short end the server with one line, which does not repeat them', async () => {
    await using server = startProcess(new URL('../server.ts', import.meta.url), { env: { SESSION_SECRETS: 'pst' } });
    expect((await server.exited).code).toBe(1);
    expect(server.output()).toMatch(
      /^SESSION_SECRETS has a secret of less than 32 characters: make one with node -p .+$/,
    );
    expect(server.output()).not.toContain('pst');
  });
});
