/** The client against a real issuer: what it does with its two tokens when one ends, is refused, or the issuer is away. */
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { startServer } from '../server.ts';
import { openDoor, openStage } from './client-stage.ts';
import { quiet } from './forge.ts';

const LIFE_MS = 600_000;

requirePostgres()('a session', () => {
  let stage: Awaited<ReturnType<typeof openStage>>;
  let aheadMs = 0;
  beforeAll(async () => {
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + aheadMs);
    stage = await openStage();
  });
  afterAll(async () => {
    vi.restoreAllMocks();
    await stage[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    stage.door.isWanted = () => true;
    stage.door.redirectTo = '';
    for (const noted of [stage.asked, stage.door.tokens, stage.door.bodies]) noted.length = 0;
  });
  afterEach(async () => {
    aheadMs = 0;
    stage.line.accept();
    stage.line.flow();
    await stage.issuer.query('delete from issuer.families');
  });

  /** The client's clock, and not the issuer's: the token stays good. */
  const advance = (ms: number) => {
    aheadMs += ms;
  };
  /** From now on the token that was shown last is refused. */
  const refuseShown = () => {
    const shown = stage.door.last();
    stage.door.isWanted = (token) => token !== shown;
    return shown;
  };

  test('exchanges its token once for all the requests that were refused, and asks each of them again', async () => {
    const session = await stage.enter();
    await session.fetch(stage.door.url);
    const old = refuseShown();
    const post = (n: number) => session.fetch(stage.door.url, { method: 'POST', body: `body ${n}` });
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => post(n)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(stage.exchanges()).toBe(1);
    expect(new Set(stage.door.tokens).size).toBe(2);
    expect(stage.door.last()).not.toBe(old);
    expect(stage.door.bodies.filter((body) => body === 'body 7')).toHaveLength(2);
  });

  test('asks again only once: what is refused with a new token as well is the answer', async () => {
    const session = await stage.enter();
    stage.door.isWanted = () => false;
    expect((await session.fetch(stage.door.url)).status).toBe(401);
    expect(stage.door.tokens).toHaveLength(2);
    expect(stage.exchanges()).toBe(1);
  });

  test('does not send a stream twice: its refusal is handed on, and the next request has the new token', async () => {
    const session = await stage.enter();
    await session.fetch(stage.door.url);
    refuseShown();
    const body = ReadableStream.from([Buffer.from('once')]);
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
    expect((await session.fetch(stage.door.url, init)).status).toBe(401);
    expect((await session.fetch(stage.door.url)).status).toBe(200);
    expect(stage.door.bodies.filter((text) => text === 'once')).toHaveLength(1);
    expect(stage.exchanges()).toBe(1);
  });

  test('exchanges its token before it ends, and nobody waits for that', async () => {
    const session = await stage.enter();
    advance(LIFE_MS - 29_000);
    stage.line.stall();
    await session.fetch(stage.door.url);
    const old = stage.door.last();
    stage.line.flow();
    await until('a request has the new token', async () => {
      await session.fetch(stage.door.url);
      return stage.door.last() !== old;
    });
    expect(stage.exchanges()).toBe(1);
  });

  test('does not show a token that has ended: requests wait for the next one', async () => {
    const session = await stage.enter();
    await session.fetch(stage.door.url);
    const old = stage.door.last();
    advance(LIFE_MS);
    await Promise.all(Array.from({ length: 10 }, () => session.fetch(stage.door.url)));
    expect(stage.door.tokens.slice(1)).not.toContain(old);
    expect(stage.exchanges()).toBe(1);
  });

  test('goes on while the issuer is away, until its token ends; and again when the issuer is back', async () => {
    const session = await stage.enter();
    stage.line.refuse();
    stage.line.cut();
    advance(LIFE_MS - 1_000);
    expect((await session.fetch(stage.door.url)).status).toBe(200);
    advance(1_000);
    await expect(session.fetch(stage.door.url)).rejects.toMatchObject({ code: 'unavailable' });
    stage.line.accept();
    expect((await session.fetch(stage.door.url)).status).toBe(200);
  });

  test('survives an answer that was lost: the issuer gives the same pair again', async () => {
    const session = await stage.enter();
    await session.fetch(stage.door.url);
    refuseShown();
    stage.line.stall('down');
    const before = await rotations();
    const answer = session.fetch(stage.door.url);
    await until('the issuer has exchanged the token', async () => (await rotations()) > before);
    stage.line.cut();
    stage.line.flow();
    expect((await answer).status).toBe(200);
    expect(stage.exchanges()).toBe(2);
  });

  test('is over when the issuer refuses the refresh token, and then asks nobody', async () => {
    const session = await stage.enter();
    await stage.issuer.query(`update issuer.families set revoked_because = 'test'`);
    stage.door.isWanted = () => false;
    await expect(session.fetch(stage.door.url)).rejects.toMatchObject({ code: 'signed-out' });
    const asked = stage.door.tokens.length;
    await expect(session.fetch(stage.door.url)).rejects.toMatchObject({ code: 'signed-out' });
    expect([stage.door.tokens.length, stage.exchanges()]).toEqual([asked, 1]);
  });

  test('is over after a logout, also for an exchange that was under way; and its tokens are revoked', async () => {
    const session = await stage.enter();
    advance(LIFE_MS);
    stage.line.stall('down');
    const waiting = session.fetch(stage.door.url);
    const refused = expect(waiting).rejects.toMatchObject({ code: 'signed-out' });
    await until('the exchange is under way', () => stage.exchanges() === 1);
    const left = session.logout();
    await until('the logout is under way', () => stage.asked.includes('/revoke'));
    stage.line.flow();
    await Promise.all([refused, left]);
    await expect(session.fetch(stage.door.url)).rejects.toMatchObject({ code: 'signed-out' });
    expect(stage.door.tokens).toEqual([]);
    expect(await stage.issuer.query('select from issuer.families where revoked_because is null')).toEqual([]);
  });

  test('shows its token to nobody else, whether asked to or sent there', async () => {
    const session = await stage.enter();
    await using other = await openDoor();
    await expect(session.fetch(other.url)).rejects.toThrow(TypeError);
    stage.door.redirectTo = other.url;
    expect((await session.fetch(stage.door.url)).status).toBe(302);
    expect(other.tokens).toEqual([]);
  });

  test('does not begin with a wrong password', async () => {
    await expect(stage.enter({ password: 'guess' })).rejects.toMatchObject({ code: 'refused' });
  });

  test('by hand: shows the profile, changes it, and signs out', async () => {
    await using server = await startServer({ issuerUrl: stage.issuer.url, log: quiet });
    await using client = startProcess(new URL('../client.ts', import.meta.url), {
      args: [stage.issuer.url, server.url],
    });
    expect((await client.exited).code, client.output()).toBe(0);
    expect(client.lines.items.map((line) => line.split('  ')[1])).toEqual(['200', '200', '200', undefined]);
  });

  async function rotations(): Promise<number> {
    const metrics = await (await fetch(`${stage.issuer.url}/metrics`)).text();
    return Number(/issuer_exchanges_total\{outcome="rotated"\} (\d+)/.exec(metrics)?.[1] ?? 0);
  }
});
