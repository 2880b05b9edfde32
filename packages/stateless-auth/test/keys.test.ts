import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import type { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test, vi } from 'vitest';
import { openPool } from '../database.ts';
import { startIssuer } from '../issuer.ts';
import { openKeyRing } from '../keys.ts';
import { PROFILE_PATH } from '../protocol.ts';
import { startServer } from '../server.ts';
import { quiet } from './forge.ts';
import { openIssuer, said } from './issuer-stage.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const TIMES = { leadMs: 10 * MINUTE_MS, retireMs: 11 * MINUTE_MS, rotateEveryMs: 30 * DAY_MS };

requirePostgres()('the keys of an issuer', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
  afterEach(() => void vi.useRealTimers());
  const pass = (ms: number) => vi.setSystemTime(Date.now() + ms);

  let pool: Pool;
  const stack = new AsyncDisposableStack();
  beforeAll(async () => {
    const { url } = stack.use(await createDatabase(inject('databaseUrl'), 'keys'));
    pool = stack.adopt(await openPool(url), (each) => each.end());
  });
  afterAll(() => stack.disposeAsync());

  /** The keys of an issuer that has just been born. */
  async function open() {
    await pool.query('delete from issuer.signing_keys');
    const ring = await openKeyRing(pool, TIMES);
    return { ring, published: () => ring.jwks.keys.map((key) => (key as { kid: string }).kid) };
  }

  test('a new one is published before it signs, and an old one until its last token has expired', async () => {
    const { ring, published } = await open();
    const first = ring.signing.kid;
    await ring.rotate();
    expect([ring.signing.kid, published().length]).toEqual([first, 2]);
    const second = published()[1]!;
    pass(TIMES.leadMs - 1);
    expect(ring.signing.kid).toBe(first);
    pass(1);
    expect(ring.signing.kid).toBe(second);
    pass(TIMES.retireMs - 1);
    await ring.refresh();
    expect(published()).toEqual([first, second]);
    pass(1);
    await ring.refresh();
    expect(published()).toEqual([second]);
    expect(ring.peek(first)).toBeUndefined();
  });

  test('follow each other by themselves, in time for the lead', async () => {
    const { ring, published } = await open();
    const first = ring.signing.kid;
    pass(TIMES.rotateEveryMs - TIMES.leadMs - 1);
    await ring.refresh();
    expect(published()).toEqual([first]);
    pass(1);
    await ring.refresh();
    await ring.refresh(); // and only one
    expect(published()).toHaveLength(2);
    pass(TIMES.leadMs);
    expect(ring.signing.kid).toBe(published()[1]);
  });

  test('are one key, when two issuers start at once, and when both find that it is time', async () => {
    await pool.query('delete from issuer.signing_keys');
    const rings = await Promise.all([openKeyRing(pool, TIMES), openKeyRing(pool, TIMES)]);
    expect(new Set(rings.map(({ signing }) => signing.kid)).size).toBe(1);
    pass(TIMES.rotateEveryMs);
    await Promise.all(rings.map((ring) => ring.refresh()));
    expect(rings[0]!.jwks).toEqual(rings[1]!.jwks);
    expect(rings[0]!.jwks.keys).toHaveLength(2);
  });

  test('that is deleted is published no more', async () => {
    const { ring, published } = await open();
    await ring.rotate();
    const [first, second] = published();
    await pool.query('delete from issuer.signing_keys where kid = $1', [first]);
    await ring.refresh();
    expect([published(), ring.signing.kid]).toEqual([[second], second]);
  });

  test('outlive the issuer', async () => {
    await using issuer = await openIssuer({ issuer: 'https://issuer.example' });
    const { access_token: access } = await issuer.enter();
    await using again = await startIssuer({
      databaseUrl: issuer.databaseUrl,
      issuer: 'https://issuer.example',
      log: quiet,
    });
    await using server = await startServer({ issuerUrl: again.url, issuer: 'https://issuer.example', log: quiet });
    const get = (token: string) => fetch(server.url + PROFILE_PATH, { headers: { Authorization: `Bearer ${token}` } });
    expect((await get(access)).status).toBe(200);
  });

  test('change without one token refused, by a server that fetched them before', async () => {
    await using issuer = await openIssuer();
    await using server = await startServer({ issuerUrl: issuer.url, log: quiet, jwks: { cooldownMs: 0 } });
    const get = (token: string) => fetch(server.url + PROFILE_PATH, { headers: { Authorization: `Bearer ${token}` } });
    const before = await issuer.enter();
    await issuer.rotate();
    const during = await issuer.enter();
    pass(10 * MINUTE_MS);
    const after = await issuer.enter();
    const kids = [before, during, after].map(({ access_token: token }) => said(token).header.kid);
    expect([kids[0] === kids[1], kids[1] === kids[2]]).toEqual([true, false]);
    pass(-MINUTE_MS); // the first has not expired yet, and clocks differ
    expect((await get(before.access_token)).status).toBe(200);
    pass(MINUTE_MS);
    expect((await get(after.access_token)).status).toBe(200);
  });
});
