import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { openClient } from '../client.ts';
import { idIn, startServers } from './servers.ts';

requireRedis()('the log', () => {
  requirePostgres()('of two servers', () => {
    test('holds neither ids nor passwords nor what strangers enter, and what they enter makes no lines of its own', async () => {
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
  });
});
