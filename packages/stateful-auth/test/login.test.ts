import { randomUUID } from 'node:crypto';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { CookieJar, openClient } from '../client.ts';
import { idIn, metric, startServers } from './servers.ts';

requireRedis()('two servers', () => {
  requirePostgres()('with their users', () => {
    let servers: Awaited<ReturnType<typeof startServers>>;
    beforeAll(async () => {
      servers = await startServers({ loginAttempts: { perAccount: 5, perAddress: 10_000 } });
    });
    afterAll(() => servers[Symbol.asyncDispose]());

    const login = (body: unknown, headers: Record<string, string> = {}, url = servers.a) =>
      fetch(`${url}/login`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        redirect: 'manual',
      });

    test('know whoever logged in at either of them', async () => {
      const client = await servers.loggedIn(servers.a);
      const there = openClient(servers.b, { jar: client.jar });
      expect(await there.profile()).toMatchObject({
        name: servers.user.name,
        preferences: expect.arrayContaining(['dark mode', 'notifications on']),
      });
    });

    test('give no cookie to anybody who is not logged in, and nothing is kept of them', async () => {
      const before = await metric(servers.a, 'sessions');
      const answers = [
        await fetch(`${servers.a}/profile`),
        await login({ ...servers.user, password: 'wrong' }),
        await fetch(`${servers.a}/logout-everywhere`, { method: 'POST' }),
      ];
      expect(answers.map(({ status }) => status)).toEqual([401, 401, 401]);
      for (const { headers } of answers) {
        expect(headers.getSetCookie()).toEqual([]);
        expect(headers.get('WWW-Authenticate')).toMatch(/^Cookie /);
      }
      expect(await metric(servers.a, 'sessions')).toBe(before);
    });

    test('fixation: an id that was planted in a browser is not the id of the session that is then begun there', async () => {
      const attacker = await servers.loggedIn();
      const planted = attacker.jar.get('sid')!;
      const jar = new CookieJar();
      jar.set('sid', planted);
      const victim = await servers.loggedIn(servers.b, { jar });
      expect(idIn(victim.jar.get('sid'))).not.toBe(idIn(planted));
      for (const url of [servers.a, servers.b]) {
        const client = openClient(url, { jar: attacker.jar });
        await expect(client.profile()).rejects.toMatchObject({ code: 'signed-out' });
      }
      expect(await victim.profile()).toMatchObject({ name: servers.user.name });
    });

    test('begin each session under a random id of 256 bits', async () => {
      const ids = await Promise.all([1, 2, 3].map(async () => idIn((await servers.loggedIn()).jar.get('sid'))));
      for (const id of ids) expect(Buffer.from(id, 'base64url')).toHaveLength(32);
      expect(new Set(ids).size).toBe(3);
    });

    test('end a session at both, and in the browser, when its user logs out', async () => {
      const client = await servers.loggedIn(servers.a);
      const kept = new CookieJar();
      kept.set('sid', client.jar.get('sid')!);
      const answer = await openClient(servers.b, { jar: client.jar }).send('/logout', { method: 'POST' });
      expect(answer.status).toBe(204);
      expect(answer.headers.getSetCookie()).toEqual([
        'sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax',
      ]);
      expect(client.jar.get('sid')).toBeUndefined();
      const thief = openClient(servers.a, { jar: kept });
      await expect(thief.profile()).rejects.toMatchObject({ code: 'signed-out' });
      expect((await thief.send('/logout', { method: 'POST' })).status).toBe(204); // which does no harm
    });

    test('list the sessions of a user, and end all of them at once', async () => {
      await using own = await startServers();
      const phone = await own.loggedIn(own.a);
      const desk = await own.loggedIn(own.b);
      const { items } = (await (await phone.send('/sessions')).json()) as { items: { isThisOne: boolean }[] };
      expect(items).toHaveLength(2);
      expect(items.filter(({ isThisOne }) => isThisOne)).toHaveLength(1);
      expect(await desk.logoutEverywhere()).toBe(2);
      await expect(phone.profile()).rejects.toMatchObject({ code: 'signed-out' });
      await expect(desk.profile()).rejects.toMatchObject({ code: 'signed-out' });
    });

    test('end the session of a user that has been deleted', async () => {
      await using own = await startServers();
      const client = await own.loggedIn();
      const database = new pg.Client(inject('databaseUrl'));
      await database.connect();
      await database.query('delete from waiter.users where name = $1', [own.user.name]);
      await database.end();
      await expect(client.profile()).rejects.toMatchObject({ status: 401 });
    });

    test('lose no preference when two requests of one session come at once', async () => {
      const client = await servers.loggedIn(servers.a);
      const there = openClient(servers.b, { jar: client.jar });
      await Promise.all([client.prefer('large print'), there.prefer('no onions'), client.prefer('Überraschung')]);
      const { preferences } = await client.profile();
      expect(preferences).toEqual(expect.arrayContaining(['large print', 'no onions', 'Überraschung']));
      await client.send('/preferences/no%20onions', { method: 'DELETE' });
      expect((await there.profile()).preferences).not.toContain('no onions');
      const malformed = await client.send(`/preferences/${encodeURIComponent('<b>')}`, { method: 'PUT' });
      expect(malformed.status).toBe(400);
    });

    test('take no session id from a URL', async () => {
      const sid = (await servers.loggedIn()).jar.get('sid')!;
      for (const path of [`/profile?sid=${sid}`, `/profile;sid=${sid}`]) {
        expect((await fetch(servers.a + path)).status).toBeOneOf([401, 404]);
      }
    });

    test('answer a form with a redirect, when the session is there', async () => {
      const body = new URLSearchParams({ ...servers.user }).toString();
      const answer = await login(body, { 'Content-Type': 'application/x-www-form-urlencoded' });
      expect(answer.status).toBe(303);
      expect(answer.headers.get('Location')).toBe('/');
      const jar = new CookieJar();
      jar.store(answer as never);
      expect(await openClient(servers.b, { jar }).profile()).toMatchObject({ name: servers.user.name });
    });

    test('do not tell a wrong password from a name that does not exist, in words or in work', async () => {
      const answerTo = async (body: object) => {
        const before = await metric(servers.a, 'password_hashes_total');
        const answer = await login(body);
        const { 'ratelimit-policy': _key, date: _date, ...headers } = Object.fromEntries(answer.headers);
        delete headers.ratelimit; // how many tries are left from this address: fewer each time
        const hashes = (await metric(servers.a, 'password_hashes_total')) - before;
        return { status: answer.status, headers, body: await answer.text(), hashes };
      };
      const wrongPassword = await answerTo({ name: servers.user.name, password: 'wrong' });
      expect(await answerTo({ name: `nobody ${randomUUID()}`, password: 'wrong' })).toEqual(wrongPassword);
      expect(wrongPassword).toMatchObject({ status: 401, hashes: 1 });
    });

    describe('brute force', () => {
      test('ends after five tries, counted by both servers together, whatever address is claimed', async () => {
        await using own = await startServers();
        const guess = (i: number, name = own.user.name) =>
          login({ name, password: `guess ${i}` }, { 'X-Forwarded-For': `203.0.113.${i}` }, i % 2 ? own.a : own.b);
        for (let i = 0; i < 5; i++) expect((await guess(i)).status).toBe(401);
        const hashes = await metric(own.a, 'password_hashes_total');
        const refused = await guess(5);
        expect(refused.status).toBe(429);
        expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(600);
        expect(refused.headers.get('Content-Type')).toBe('application/problem+json');
        expect((await login(own.user, {}, own.b)).status).toBe(429); // the right one comes too late
        expect(await metric(own.a, 'password_hashes_total')).toBe(hashes); // and no work was done for them
        expect((await guess(1, 'somebody else')).status).toBe(401);
      });

      test('is not what a user does who mistypes now and then', async () => {
        const wrong = { ...servers.user, password: 'wrong' };
        for (let day = 0; day < 2; day++) {
          for (let i = 0; i < 3; i++) expect((await login(wrong)).status).toBe(401);
          expect((await login(servers.user)).status).toBe(200);
        }
      });

      test('of many accounts from one address ends as well', async () => {
        await using own = await startServers({ loginAttempts: { perAccount: 5, perAddress: 3 } });
        const spray = (name: string) => login({ name, password: 'summer2026' }, {}, own.a);
        for (const name of ['a', 'b', 'c']) expect((await spray(name)).status).toBe(401);
        expect((await spray('d')).status).toBe(429);
      });
    });

    test('log neither ids nor passwords nor what strangers enter, and what they enter makes no lines of its own', async () => {
      const name = 'Mallory\n{"message":"signed in"}\r\n\u2028';
      await using servers = await startServers({ demoUser: { name, password: 'a password in the clear' } });
      const client = await servers.loggedIn();
      await client.send(`/profile?sid=${client.jar.get('sid')}`);
      const id = idIn(client.jar.get('sid'));
      await expect(openClient(servers.a).login(`${name}, who is unknown`, 'another password')).rejects.toThrow('401');
      await expect(openClient(servers.a).login(name, 'another password')).rejects.toThrow('401');
      await client.logout();

      const text = servers.lines.join('\n');
      for (const secret of [id, 'a password in the clear', 'another password', 'Mallory', 'who is unknown']) {
        expect(text).not.toContain(secret);
      }
      for (const line of servers.lines) {
        expect(line).not.toMatch(/[\r\n\u2028]/);
        expect(JSON.parse(line)).toMatchObject({ service: 'stateful-auth-test' });
      }
      const events = servers.lines
        .map((line) => JSON.parse(line))
        .filter(({ message }) => message.startsWith('signed'));
      expect(events.map(({ message }) => message)).toEqual(['signed in', 'signed out']);
      expect(events[0]).toMatchObject({ userId: expect.any(Number), session: expect.stringMatching(/^[\w-]{12}$/) });
      expect(events[1].session).toBe(events[0].session); // so the lines of one session can be found
    });

    test('count what becomes of sessions, and how long Redis takes', async () => {
      await using own = await startServers();
      const client = await own.loggedIn();
      expect(await metric(own.b, 'sessions')).toBe(1); // of all servers
      await client.logout();
      expect(await metric(own.b, 'sessions')).toBe(0);
      expect(await metric(own.a, 'session_events_total{event="signed in"}')).toBe(1);
      expect(await metric(own.a, 'session_events_total{event="signed out"}')).toBe(1);
      expect(await metric(own.a, 'logins_total{outcome="right"}')).toBe(1);
      expect(await metric(own.a, 'session_store_seconds_count{command="set"}')).toBeGreaterThan(0);
    });

    test.each([
      ['no body', '', { 'Content-Type': 'application/json' }, 400],
      ['another type', 'name=John', { 'Content-Type': 'text/plain' }, 415],
      ['no JSON', '{', {}, 400],
      ['an array', '[]', {}, 400],
      ['no password', '{"name":"John"}', {}, 400],
      ['an object for a name', '{"name":{"$ne":1},"password":"x"}', {}, 400],
      ['a name that is too long', { name: 'x'.repeat(65), password: 'x' }, {}, 400],
      ['a password that is too long', { name: 'x', password: 'x'.repeat(257) }, {}, 400],
      ['a NUL', { name: 'x\0', password: 'x' }, {}, 400],
      ['half a character', '{"name":"\\ud800","password":"x"}', {}, 400],
      ['a body that is too long', { name: 'x', password: 'x'.repeat(5_000) }, {}, 413],
      [
        'a form with a thousand fields',
        'a=1&'.repeat(1_000),
        { 'Content-Type': 'application/x-www-form-urlencoded' },
        413,
      ],
    ])('refuse a login with %s, and compute nothing for it', async (_what, body, headers, status) => {
      const before = await metric(servers.a, 'password_hashes_total');
      const answer = await login(body, headers as Record<string, string>);
      expect(answer.status).toBe(status);
      expect(answer.headers.get('Content-Type')).toBe('application/problem+json');
      expect(answer.headers.getSetCookie()).toEqual([]);
      expect(await metric(servers.a, 'password_hashes_total')).toBe(before);
    });
  });
});
