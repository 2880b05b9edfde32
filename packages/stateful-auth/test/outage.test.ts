import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';
import { attempted, connectRedis } from '../redis-connection.ts';
import { metric, startServers } from './servers.ts';

const login = (url: string, user: object) =>
  fetch(`${url}/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(user),
  });

requireRedis()('when Redis is away', () => {
  requirePostgres()('a server', () => {
    test('says 503 where a session is needed, serves the rest, and goes on by itself', async () => {
      await using proxy = await startFaultProxy(inject('redisUrl'));
      await using servers = await startServers({ redisUrl: proxy.url });
      const client = await servers.loggedIn();
      const cookie = client.jar.get('sid');
      proxy.refuse();
      proxy.cut();

      for (const [method, path] of [
        ['GET', '/profile'],
        ['PUT', '/preferences/none'],
        ['GET', '/sessions'],
        ['GET', '/events'],
        ['POST', '/logout'],
        ['POST', '/logout-everywhere'],
      ] as const) {
        const answer = await client.send(path, { method });
        expect([path, answer.status, answer.headers.get('Retry-After')]).toEqual([path, 503, '2']);
        expect(answer.headers.getSetCookie(), 'nobody becomes a stranger').toEqual([]);
        await answer.arrayBuffer();
      }
      const refused = await login(servers.a, servers.user);
      expect([refused.status, refused.headers.getSetCookie()]).toEqual([503, []]);
      for (const path of ['/menu', '/', '/live']) expect((await client.send(path)).status).toBe(200);
      expect(await (await fetch(`${servers.a}/ready`)).json()).toEqual({ status: 'ready', sessions: 'unavailable' });
      expect(await metric(servers.a, 'session_store_errors_total{command="get"}')).toBeGreaterThanOrEqual(6);
      expect(await metric(servers.a, 'sessions')).toBeNaN();

      proxy.accept();
      await until('the session is there again', async () => (await client.send('/profile')).status === 200);
      expect(client.jar.get('sid')).toBe(cookie);
      expect(await (await fetch(`${servers.a}/ready`)).json()).toEqual({ status: 'ready', sessions: 'available' });
    });

    test('does not hang when Redis says nothing at all', async () => {
      await using proxy = await startFaultProxy(inject('redisUrl'));
      await using servers = await startServers({ redisUrl: proxy.url });
      const client = await servers.loggedIn();
      proxy.stall();
      expect((await client.send('/profile')).status).toBe(503);
      expect((await client.send('/menu')).status).toBe(200);
      proxy.flow();
      await until('it goes on', async () => (await client.send('/profile')).status === 200);
    });

    test('starts all the same, and logs people in when Redis comes, with their tries counted', async () => {
      await using proxy = await startFaultProxy(inject('redisUrl'));
      proxy.refuse();
      await using servers = await startServers({ redisUrl: proxy.url });
      expect((await fetch(`${servers.a}/menu`)).status).toBe(200);
      expect((await login(servers.a, servers.user)).status).toBe(503);
      proxy.accept();
      await until('it can log in', async () => (await login(servers.a, servers.user)).status === 200);
      for (let i = 0; i < 5; i++)
        expect((await login(servers.a, { ...servers.user, password: 'wrong' })).status).toBe(401);
      expect((await login(servers.a, servers.user)).status).toBe(429);
    });

    test('gives no cookie for a session that Redis could not keep', async () => {
      await using servers = await startServers();
      using stack = new DisposableStack();
      const redis = stack.adopt(connectRedis(inject('redisUrl')), (redis) => redis.disconnect());
      await attempted(redis);
      await redis.set(`${servers.prefix}all`, 'of a type that no session can be added to');
      const refused = await login(servers.a, servers.user);
      expect([refused.status, refused.headers.getSetCookie()]).toEqual([503, []]);
    });
  });

  requirePostgres()('and when PostgreSQL is', () => {
    test('a server says 503 as well, and nobody is logged out', async () => {
      await using proxy = await startFaultProxy(inject('databaseUrl'));
      await using servers = await startServers({ databaseUrl: proxy.url });
      const client = await servers.loggedIn();
      proxy.refuse();
      proxy.cut();
      const answer = await client.send('/profile');
      expect([answer.status, answer.headers.get('Retry-After')]).toEqual([503, '2']);
      expect((await login(servers.a, servers.user)).status).toBe(503);
      expect((await client.send('/sessions')).status).toBe(200); // which asks only Redis
      proxy.accept();
      await until('it goes on', async () => (await client.send('/profile')).status === 200);
    });
  });
});
