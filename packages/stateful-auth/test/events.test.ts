import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';
import { type Client, openClient } from '../client.ts';
import { attempted, connectRedis } from '../redis-connection.ts';
import { handleOf } from '../session-data.ts';
import { idIn, startServers } from './servers.ts';

/** The events of `GET /events`, as they come. */
async function openEvents(client: Client): Promise<EventQueue<string>> {
  const response = await client.send('/events');
  expect(response.status).toBe(200);
  return EventQueue.from(() => readEvents(response.body as AsyncIterable<Uint8Array>));
}

/** One write may hold two events, and an event come in two pieces. */
async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let text = '';
  for await (const chunk of body) {
    const events = (text + Buffer.from(chunk).toString()).split('\n\n');
    text = events.pop()!;
    yield* events;
  }
}

requireRedis()('a connection that stays open', () => {
  requirePostgres()('to one of two servers', () => {
    test('ends when its user logs out at the other one, and not before', async () => {
      await using servers = await startServers({ recheckMs: 50 });
      const client = await servers.loggedIn(servers.a);
      const stranger = openClient(servers.a);
      expect((await stranger.send('/events')).status).toBe(401);
      await using events = await openEvents(client);
      for (const text of await events.take(3)) expect(text).toBe('event: here\ndata: {}');
      await openClient(servers.b, { jar: client.jar }).logout();
      expect(await events.find('the end', (text) => text.includes('over'))).toContain('"logged out"');
      await expect(events.find('more', () => false)).rejects.toThrow('The stream ended');
    });

    test('ends when nobody can tell whether its session is still there', async () => {
      await using proxy = await startFaultProxy(inject('redisUrl'));
      await using servers = await startServers({ recheckMs: 50, redisUrl: proxy.url });
      await using events = await openEvents(await servers.loggedIn());
      await events.next();
      proxy.refuse();
      proxy.cut();
      expect(await events.find('the end', (text) => text.includes('over'))).toContain('"unavailable"');
    });

    test('does not keep its session alive', async () => {
      await using servers = await startServers({ recheckMs: 20 });
      using stack = new DisposableStack();
      const redis = stack.adopt(connectRedis(inject('redisUrl')), (redis) => redis.disconnect());
      await attempted(redis);
      const client = await servers.loggedIn();
      await using events = await openEvents(client);
      await events.next();
      const key = `${servers.prefix}session:${handleOf(idIn(client.jar.get('sid')))}`;
      await redis.pexpire(key, 60_000);
      await events.take(3);
      expect(await redis.pttl(key)).toBeLessThanOrEqual(60_000);
      await redis.pexpire(key, 1);
      expect(await events.find('the end', (text) => text.includes('over'))).toContain('"logged out"');
    });

    test('ends when its server stops', async () => {
      const servers = await startServers();
      await using events = await openEvents(await servers.loggedIn());
      await events.next();
      await servers[Symbol.asyncDispose]();
      await expect(events.find('more', () => false)).rejects.toThrow('The stream ended');
    });
  });
});
