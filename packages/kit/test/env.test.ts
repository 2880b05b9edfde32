/** What is read from the environment, and what is said to somebody who set it wrong. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ConfigError, envInteger, envPort, envUrl } from '../env.ts';

afterEach(() => void vi.unstubAllEnvs());

const redis = { protocols: ['redis:', 'rediss:'], hint: 'start one with docker compose up' };

/** The one line that the person who started the program reads. */
function complaint(read: () => string | number): string {
  try {
    return `no complaint, but ${read()}`;
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
}

describe('an integer', () => {
  test.each([
    ['0', 0],
    ['17', 17],
    ['-5', -5],
    ['10', 10],
  ])('%s', (text, value) => {
    vi.stubEnv('COUNT', text);
    expect(envInteger('COUNT', 3, { min: -5, max: 17 })).toBe(value);
  });

  test.each(['18', '-6', '1.5', '1e1', '0x10', 'ten', ' 5', '5 ', '99999999999999999999'])('not %s', (text) => {
    vi.stubEnv('COUNT', text);
    const read = () => envInteger('COUNT', 3, { min: -5, max: 17 });
    expect(complaint(read)).toBe(`COUNT=${text}: expected an integer from -5 to 17`);
  });

  test('is the fallback when it is not set, or empty', () => {
    vi.stubEnv('COUNT', undefined);
    expect(envInteger('COUNT', 3)).toBe(3);
    vi.stubEnv('COUNT', '');
    expect(envInteger('COUNT', 3)).toBe(3);
  });

  test('is not negative unless said otherwise', () => {
    vi.stubEnv('COUNT', '-1');
    expect(complaint(() => envInteger('COUNT', 3))).toContain('from 0 to');
  });
});

test('a port is any free one unless it is given, and at most 65535', () => {
  vi.stubEnv('PORT', undefined);
  expect(envPort()).toBe(0);
  vi.stubEnv('PORT', '65535');
  expect(envPort()).toBe(65_535);
  vi.stubEnv('PORT', '65536');
  expect(complaint(envPort)).toBe('PORT=65536: expected an integer from 0 to 65535');
  vi.stubEnv('OTHER_PORT', '8080');
  expect(envPort('OTHER_PORT')).toBe(8_080);
});

describe('a URL', () => {
  test.each(['redis://127.0.0.1:6379', 'rediss://user:secret@example.com/0'])('%s', (url) => {
    vi.stubEnv('REDIS_URL', url);
    expect(envUrl('REDIS_URL', redis)).toBe(url);
  });

  test.each(['http://user:secret@host', 'secret', 'redis//secret', 'localhost:secret'])(
    'not %s, and it is not repeated',
    (url) => {
      vi.stubEnv('REDIS_URL', url);
      const line = complaint(() => envUrl('REDIS_URL', redis));
      expect(line).toBe('REDIS_URL is not a URL that starts with redis:// or rediss://');
    },
  );

  test.each([undefined, ''])('when it is %o, the line says what to do', (url) => {
    vi.stubEnv('REDIS_URL', url);
    expect(complaint(() => envUrl('REDIS_URL', redis))).toBe('REDIS_URL is not set: start one with docker compose up');
  });
});
