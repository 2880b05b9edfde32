/** The same questions to the session server: what a request costs, how fast a logout bites, and what its store's death does. */
import type { Stage } from '@patterns/kit/demo';
import { Redis } from 'ioredis';
import type { House } from './demo-stage.ts';

/** Signs in. @returns what asks as John, and what was measured on the way. */
export async function openTwin({ signal }: Stage, house: House) {
  const { url } = house.lines.session;
  const login = async () => {
    const response = await fetch(`${url}/login`, { method: 'POST', signal });
    return response.headers.getSetCookie()[0]!.split(';', 1)[0]!;
  };
  const ask = async (path: string, cookie: string, method = 'GET') => {
    const response = await fetch(url + path, { method, headers: { Cookie: cookie }, signal });
    await response.arrayBuffer();
    return response.status;
  };
  return {
    login,
    ask,
    /** Commands to Redis for each of a number of requests. */
    async cost(cookie: string): Promise<number> {
      const control = new Redis(house.redis.url);
      try {
        const commands = async () => Number(/total_commands_processed:(\d+)/.exec(await control.info('stats'))?.[1]);
        const before = await commands();
        await house.unseen(async () => {
          for (let n = 0; n < 20; n++) await ask('/profile', cookie);
        });
        return ((await commands()) - before - 1) / 20; // our own question is one of them
      } finally {
        control.disconnect();
      }
    },
  };
}
