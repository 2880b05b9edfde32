import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPool } from '../database.ts';
import { startIssuer } from '../issuer.ts';
import { RefreshTokens } from '../refresh-tokens.ts';
import { quiet } from './forge.ts';
import { openIssuer, said, type TestIssuer } from './issuer-stage.ts';

const REFUSED = { status: 400, body: { error: 'invalid_grant', error_description: 'log in again' } };

requirePostgres()('a refresh token', () => {
  let issuer: TestIssuer;
  beforeAll(async () => {
    issuer = await openIssuer({ maxFailedLogins: 1_000 });
  });
  afterAll(() => issuer[Symbol.asyncDispose]());

  /** As a uuid: what comes before the dot. */
  const familyOf = (token: string) => Buffer.from(token.split('.')[0]!, 'base64url').toString('hex');
  /** Makes it be so much later for this login, and for no other. */
  const pass = (token: string, interval: string) =>
    issuer.query(
      `update issuer.families set used_at = used_at - $2::interval, expires_at = expires_at - $2::interval where id = $1`,
      [familyOf(token), interval],
    );
  const fate = async (token: string) =>
    (
      await issuer.query<{ fate: string | null }>('select revoked_because as fate from issuer.families where id = $1', [
        familyOf(token),
      ])
    )[0]?.fate;
  const next = async (token: string): Promise<string> => (await issuer.exchange(token)).body.refresh_token;
  const jtiOf = (token: string) => said(token).claims.jti as string;

  // By themselves: they take all connections, or most of the processor.
  test('is shown by twenty requests at once: all get the same next one, and it works', async () => {
    const { refresh_token: refresh } = await issuer.enter();
    const answers = await Promise.all(Array.from({ length: 20 }, () => issuer.exchange(refresh)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1);
    expect(new Set(answers.map(({ body }) => jtiOf(body.access_token))).size).toBe(20);
    expect((await issuer.exchange(answers[0]!.body.refresh_token)).status).toBe(200);
  });

  test('survives kill -9 of the issuer, in the middle of exchanges', async () => {
    await using own = await openIssuer();
    const env = { DATABASE_URL: own.databaseUrl, LOG_LEVEL: 'error' };
    await using first = startProcess(new URL('../issuer.ts', import.meta.url), { env });
    const url = await first.url(20_000);
    let { refresh_token: refresh } = await own.enter();
    let exchanged = 0;
    const exchanging = (async () => {
      for (;;) {
        const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refresh });
        const response = await fetch(`${url}/token`, { method: 'POST', body: form });
        if (!response.ok) return;
        refresh = ((await response.json()) as { refresh_token: string }).refresh_token;
        exchanged++;
      }
    })().catch(() => {}); // the line breaks
    await until('some exchanges', () => exchanged >= 5);
    await Promise.all([first.kill('SIGKILL'), exchanging]);
    // Whether the last exchange was done or not: the last token that came is good.
    expect((await own.exchange(refresh)).status).toBe(200);
  }, 40_000);

  describe('in honest hands', { concurrent: true }, () => {
    test('is exchanged for the next, again and again, for the same user and scope', async () => {
      let tokens = await issuer.enter();
      const { sub, scope } = said(tokens.access_token).claims;
      const seen = new Set([tokens.refresh_token]);
      for (let n = 0; n < 3; n++) {
        const { status, headers, body } = await issuer.exchange(tokens.refresh_token);
        expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
        expect(said(body.access_token).claims).toMatchObject({ sub, scope });
        seen.add(body.refresh_token);
        tokens = body;
      }
      expect(seen.size).toBe(4);
      expect(await fate(tokens.refresh_token)).toBeNull();
    });

    test('is shown to two issuers on one database at once', async () => {
      await using other = await startIssuer({ databaseUrl: issuer.databaseUrl, log: quiet });
      const { refresh_token: refresh } = await issuer.enter();
      const ask = async (url: string) => {
        const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refresh });
        const response = await fetch(`${url}/token`, { method: 'POST', body: form });
        return ((await response.json()) as { refresh_token: string }).refresh_token;
      };
      const answers = await Promise.all([issuer.url, other.url, issuer.url, other.url].map(ask));
      expect(new Set(answers).size).toBe(1);
      expect(answers[0]).toBeDefined();
    });

    test('is exchanged again when the answer was lost', async () => {
      const { refresh_token: refresh } = await issuer.enter();
      const lost = await next(refresh);
      expect(await next(refresh)).toBe(lost);
    });
  });

  describe('in two hands', { concurrent: true }, () => {
    test('ends the login for both, when it is used after its successor', async () => {
      const { refresh_token: stolen } = await issuer.enter();
      const second = await next(stolen);
      const third = await next(second);
      expect(await issuer.exchange(stolen)).toMatchObject(REFUSED); // well within the grace of `second`
      expect(await fate(stolen)).toBe('reused');
      for (const token of [third, second, stolen]) expect(await issuer.exchange(token)).toMatchObject(REFUSED);
    });

    test('ends the login for both, when it is used after the grace', async () => {
      const { refresh_token: stolen } = await issuer.enter();
      const second = await next(stolen);
      await pass(stolen, '5 seconds');
      expect(await next(stolen)).toBe(second);
      await pass(stolen, '5 seconds');
      expect(await issuer.exchange(stolen)).toMatchObject(REFUSED);
      expect(await issuer.exchange(second)).toMatchObject(REFUSED);
    });

    test('is found out also when the thief was the first', async () => {
      const { refresh_token: stolen } = await issuer.enter();
      const thiefs = await next(await next(stolen));
      expect(await issuer.exchange(stolen)).toMatchObject(REFUSED); // the owner, who has to log in again
      expect(await issuer.exchange(thiefs)).toMatchObject(REFUSED);
    });

    test('used within the grace by a thief: he gets nothing of his own, and is found out later', async () => {
      const { refresh_token: stolen } = await issuer.enter();
      const [owners, thiefs] = [await next(stolen), await next(stolen)];
      expect(thiefs).toBe(owners);
      const after = await next(owners);
      await pass(stolen, '10 seconds');
      expect(await issuer.exchange(thiefs)).toMatchObject(REFUSED);
      expect(await issuer.exchange(after)).toMatchObject(REFUSED);
    });

    test('takes with it the access tokens of that login, and of no other', async () => {
      const [theirs, others] = [await issuer.enter(), await issuer.enter()];
      const second = (await issuer.exchange(theirs.refresh_token)).body;
      await issuer.exchange(second.refresh_token);
      await issuer.exchange(theirs.refresh_token);
      const revoked = await issuer.revoked();
      expect(revoked).toEqual(expect.arrayContaining([jtiOf(theirs.access_token), jtiOf(second.access_token)]));
      expect(revoked).not.toContain(jtiOf(others.access_token));
      expect((await issuer.exchange(others.refresh_token)).status).toBe(200);
    });

    test('cannot be made from another one of the same login', async () => {
      const { refresh_token: refresh } = await issuer.enter();
      const [family, secret] = refresh.split('.');
      expect(await issuer.exchange(`${family}.${Buffer.alloc(32).toString('base64url')}`)).toMatchObject(REFUSED);
      expect(await fate(refresh)).toBe('reused');
      expect(await issuer.exchange(`${(await issuer.enter()).refresh_token.split('.')[0]}.${secret}`)).toMatchObject(
        REFUSED,
      );
    });
  });

  describe('comes to its end', { concurrent: true }, () => {
    test('when it is logged out, whichever token of the login is shown, and the access tokens with it', async () => {
      const { refresh_token: old, access_token: access } = await issuer.enter();
      const refresh = await next(old);
      for (let n = 0; n < 2; n++) expect((await issuer.form('/revoke', { token: old })).status).toBe(200);
      expect(await issuer.exchange(refresh)).toMatchObject(REFUSED);
      expect(await issuer.revoked()).toContain(jtiOf(access));
      expect(await fate(refresh)).toBe('logged out');
    });

    test('a week after it was last used', async () => {
      const { refresh_token: refresh } = await issuer.enter();
      await pass(refresh, '6 days 23 hours 59 minutes');
      const second = await next(refresh);
      await pass(second, '7 days');
      expect(await issuer.exchange(second)).toMatchObject(REFUSED);
      expect(await fate(second)).toBeNull(); // expired is not reused
    });

    test('30 days after the login, however often it was used', async () => {
      let { refresh_token: refresh } = await issuer.enter();
      for (let week = 0; week < 4; week++) {
        await pass(refresh, '6 days 23 hours');
        refresh = await next(refresh);
      }
      await pass(refresh, '2 days 4 hours');
      expect(await issuer.exchange(refresh)).toMatchObject(REFUSED);
    });
  });

  test('is forgotten some time after its end, and its access tokens when nobody takes them any more', async () => {
    await using own = await openIssuer();
    const [over, listed, alive] = [await own.enter(), await own.enter(), await own.enter()];
    await own.form('/revoke', { token: listed.refresh_token });
    await own.query(`update issuer.families set expires_at = now() where id = any($1)`, [
      [over, listed].map(({ refresh_token: token }) => familyOf(token)),
    ]);
    await own.query(`update issuer.access_tokens set expires_at = now() where jti = $1`, [jtiOf(over.access_token)]);
    const pool = await openPool(own.databaseUrl);
    await new RefreshTokens(pool, 600).sweep();
    await pool.end();
    const left = await own.query<{ id: string }>(`select replace(id::text, '-', '') as id from issuer.families`);
    expect(left.map(({ id }) => id).sort()).toEqual(
      [listed, alive].map(({ refresh_token: token }) => familyOf(token)).sort(),
    );
    expect(await own.revoked()).toEqual([jtiOf(listed.access_token)]);
  });
});
