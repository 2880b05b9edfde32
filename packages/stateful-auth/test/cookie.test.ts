import { createHmac } from 'node:crypto';
import { makeCertificate } from '@patterns/kit/certificate';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { Agent } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CookieJar, openClient } from '../client.ts';
import { idIn, SECRET, startServers } from './servers.ts';

const NEW = 'a newer secret, of more than thirty-two characters';

/** A cookie as whoever knows a secret makes it. */
const signed = (id: string, secret: string) =>
  encodeURIComponent(`s:${id}.${createHmac('sha256', secret).update(id).digest('base64').replace(/=+$/, '')}`);

requireRedis()('the cookie', () => {
  requirePostgres()('of two servers', () => {
    let servers: Awaited<ReturnType<typeof startServers>>;
    beforeAll(async () => {
      servers = await startServers();
    });
    afterAll(() => servers[Symbol.asyncDispose]());

    /** What a server says to somebody with this cookie. */
    const ask = (value: string, url = servers.a) => {
      const jar = new CookieJar();
      jar.set('sid', value);
      return openClient(url, { jar }).send('/profile');
    };

    test('is signed as it is forged here: else the next tests would show nothing', async () => {
      const own = (await servers.loggedIn()).jar.get('sid')!;
      expect(own).toBe(signed(idIn(own), SECRET));
      expect((await ask(own)).status).toBe(200);
    });

    test.each([
      ['another id under the same signature', (own: string) => own.replace(idIn(own), idIn(own).toUpperCase())],
      ['no signature', (own: string) => idIn(own)],
      ['half a signature', (own: string) => own.slice(0, -10)],
      ['a guessed secret', (own: string) => signed(idIn(own), 'my-secret-key')],
      [
        'a secret that is no longer in use',
        (own: string) => signed(idIn(own), 'the secret of the last year, long and random'),
      ],
      ['something else', () => '%E0%A4%A'],
    ])('is refused with %s', async (_what, forge) => {
      const own = (await servers.loggedIn()).jar.get('sid')!;
      expect((await ask(forge(own))).status).toBe(401);
    });

    test('does not make a session, even with the right secret: an id of one’s own choice stays unknown', async () => {
      const chosen = signed('an id that I know', SECRET);
      expect((await ask(chosen)).status).toBe(401);
      const jar = new CookieJar();
      jar.set('sid', chosen);
      const client = await servers.loggedIn(servers.a, { jar });
      expect(idIn(client.jar.get('sid'))).not.toBe('an id that I know');
      expect((await ask(chosen)).status).toBe(401);
    });

    test('is signed anew when the secrets change, in three steps, and nobody is logged out', async () => {
      const client = await servers.loggedIn();
      const steps = [
        { secrets: [SECRET, NEW], signs: SECRET }, // all servers learn the new one, before any signs with it
        { secrets: [NEW, SECRET], signs: NEW },
        { secrets: [NEW], signs: NEW },
      ];
      let before = servers.a;
      for (const { secrets, signs } of steps) {
        const after = await servers.start({ secrets });
        for (const url of [after, before, after]) {
          const answer = await openClient(url, { jar: client.jar }).send('/profile');
          expect(answer.status).toBe(200);
        }
        const cookie = client.jar.get('sid')!;
        expect(cookie).toBe(signed(idIn(cookie), signs));
        before = after;
      }
    });

    test('lasts as long in the browser as the session may be idle, and longer with each answer', async () => {
      const client = await servers.loggedIn();
      const answer = await client.send('/profile');
      const expires = Date.parse(/Expires=([^;]+)/.exec(answer.headers.getSetCookie()[0]!)![1]!);
      expect(Math.abs(expires - Date.now() - 30 * 60_000)).toBeLessThan(60_000);
      expect(answer.headers.get('Cache-Control')).toBe('no-store');
    });

    describe('over TLS', () => {
      test('is one that no subdomain and nobody on a plain line can plant', async () => {
        const certificate = await makeCertificate();
        const url = await servers.start({ tls: certificate });
        await using stack = new AsyncDisposableStack();
        const dispatcher = stack.adopt(new Agent({ connect: { ca: certificate.cert } }), (agent) => agent.close());
        const client = openClient(url, { dispatcher });
        const answer = await client.send('/login', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(servers.user),
        });
        const [cookie] = answer.headers.getSetCookie();
        expect(cookie).toMatch(/^__Host-sid=s%3A/);
        expect(
          cookie!
            .split('; ')
            .slice(1)
            .filter((part) => !part.startsWith('Expires')),
        ).toEqual(['Path=/', 'HttpOnly', 'Secure', 'SameSite=Lax']);
        expect(await client.profile()).toMatchObject({ name: servers.user.name });
        const cleared = await client.send('/logout', { method: 'POST' });
        expect(cleared.headers.getSetCookie()[0]).toMatch(
          /^__Host-sid=; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Lax$/,
        );
      });

      test('is given behind the one proxy that ends TLS; and not silently withheld when that does not say so', async () => {
        const url = await servers.start({ trustProxy: 1 });
        const login = (headers: Record<string, string>) =>
          fetch(`${url}/login`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json', ...headers },
            body: JSON.stringify(servers.user),
          });
        const good = await login({ 'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '203.0.113.1' });
        expect(good.status).toBe(200);
        expect(good.headers.getSetCookie()[0]).toMatch(/^__Host-sid=.*; Secure/);
        const plain = await login({});
        expect(plain.status).toBe(403);
        expect(await plain.json()).toMatchObject({ detail: expect.stringContaining('HTTPS') });
      });

      test('is not believed on a client’s own word when there is no proxy', async () => {
        const answer = await fetch(`${servers.a}/login`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', 'X-Forwarded-Proto': 'https' },
          body: JSON.stringify(servers.user),
        });
        expect(answer.headers.getSetCookie()[0]).toMatch(/^sid=/);
        const origin = servers.a.replace('http:', 'https:');
        const spoofed = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'evil.example', Origin: origin };
        expect((await fetch(`${servers.a}/logout`, { method: 'POST', headers: spoofed })).status).toBe(403);
      });
    });
  });
});
