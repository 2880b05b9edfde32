import type { LookupFunction } from 'node:net';
import { Agent } from 'undici';
import { describe, expect, test } from 'vitest';
import { DestinationError, guardDestinations, isPublic } from '../destination.ts';
import { openReceiver } from './provider-stage.ts';

/** A resolver that answers with the given lists of addresses, one after the other, the last one for ever. */
function resolver(...answers: string[][]): LookupFunction & { asked: number } {
  const resolve = ((_hostname, { all }, callback) => {
    const addresses = (answers[Math.min(resolve.asked++, answers.length - 1)] ?? []).map((address) => ({
      address,
      family: address.includes(':') ? 6 : 4,
    }));
    setImmediate(() => (all ? callback(null, addresses) : callback(null, addresses[0]!.address, addresses[0]!.family)));
  }) as LookupFunction & { asked: number };
  resolve.asked = 0;
  return resolve;
}

describe('an address', () => {
  test.each([
    ['8.8.8.8', true],
    ['::ffff:8.8.8.8', true],
    ['2606:4700:4700::1111', true],
    ['0.0.0.0', false],
    ['10.1.2.3', false],
    ['100.64.0.1', false], // carrier-grade NAT
    ['127.0.0.1', false],
    ['127.8.8.8', false],
    ['169.254.169.254', false], // where clouds keep credentials
    ['172.31.0.1', false],
    ['192.0.0.8', false],
    ['192.0.2.1', false],
    ['192.168.1.1', false],
    ['198.18.0.1', false],
    ['224.0.0.1', false],
    ['240.0.0.1', false],
    ['255.255.255.255', false],
    ['::', false],
    ['::1', false],
    ['::127.0.0.1', false],
    ['::ffff:127.0.0.1', false],
    ['::ffff:a9fe:a9fe', false],
    ['64:ff9b::7f00:1', false], // NAT64
    ['64:ff9b:1::a00:1', false],
    ['2002:7f00:1::', false], // 6to4
    ['2001:0:4136:e378::1', false], // Teredo
    ['2001:db8::1', false],
    ['fc00::1', false],
    ['fd12:3456::1', false],
    ['fe80::1', false],
    ['fec0::1', false],
    ['ff02::1', false],
    ['4000::1', false], // never given out
  ])('%s is public: %s', (address, expected) => {
    expect(isPublic(address)).toBe(expected);
  });
});

describe('a URL', () => {
  const publicName = resolver(['93.184.216.34', '2606:2800:220:1::1']);
  const guard = guardDestinations({ resolve: publicName });

  test.each([
    'https://shop.example/hooks',
    'https://shop.example:8443/',
    'https://8.8.8.8/',
    'https://[2606:4700::1]/',
  ])('%s is fine', async (url) => {
    await guard.check(url);
  });

  test.each([
    'http://shop.example/', // not even by plain HTTP
    'ftp://shop.example/',
    'https://shop.example:22/',
    'https://user:password@shop.example/',
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://①②⑦.0.0.1/',
    'https://0/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://169.254.169.254/latest/meta-data/',
    `https://shop.example/${'a'.repeat(2_000)}`,
    'shop.example',
  ])('%s is refused', async (url) => {
    await expect(guard.check(url)).rejects.toBeInstanceOf(DestinationError);
  });

  test.each([['127.0.0.1'], ['93.184.216.34', '10.0.0.1'], ['93.184.216.34', '::1']])(
    'is refused when one of its addresses is not public: %s %s',
    async (...addresses) => {
      const guard = guardDestinations({ resolve: resolver(addresses) });
      await expect(guard.check('https://shop.example/')).rejects.toThrow('is not a public address');
    },
  );

  test('is refused when its name cannot be resolved', async () => {
    const resolve: LookupFunction = (_hostname, _options, callback) =>
      callback(Object.assign(new Error('no such host'), { code: 'ENOTFOUND' }), '');
    await expect(guardDestinations({ resolve }).check('https://shop.example/')).rejects.toThrow('cannot be resolved');
  });

  test('may have an address that is allowed, on any port, without TLS; its neighbours may not', async () => {
    const guard = guardDestinations({ allow: ['127.0.0.1', '10.1.0.0/16', 'fd00::/8'] });
    for (const host of ['127.0.0.1:80', '2130706433:1234', '10.1.9.9', '[fd00::5]', '[::ffff:127.0.0.1]']) {
      await guard.check(`http://${host}/`);
    }
    for (const host of ['127.0.0.2', '10.2.0.1', '[::1]']) {
      await expect(guard.check(`http://${host}/`)).rejects.toBeInstanceOf(DestinationError);
    }
  });

  test('allowing something that is no address is a mistake', () => {
    for (const network of ['localhost', '10.0.0.0/x', '10.0.0']) {
      expect(() => guardDestinations({ allow: [network] })).toThrow(network);
    }
  });
});

describe('dialling', () => {
  const dial = async (url: string, guard: ReturnType<typeof guardDestinations>) => {
    const agent = new Agent({ connect: guard.connect });
    try {
      const { statusCode, body } = await agent.request({ origin: new URL(url).origin, path: '/', method: 'POST' });
      await body.dump();
      return statusCode;
    } finally {
      await agent.destroy();
    }
  };

  test('a name that was public when it was registered, and is loopback now, is not connected to', async () => {
    await using receiver = await openReceiver();
    const { port } = new URL(receiver.url);
    const resolve = resolver(['93.184.216.34'], ['127.0.0.1']);
    const guard = guardDestinations({ resolve });
    await guard.check('https://rebind.example/');
    await expect(dial(`http://rebind.example:${port}`, guard)).rejects.toThrow('127.0.0.1 is not a public address');
    expect(resolve.asked).toBe(2);
    expect(receiver.connections).toBe(0);
  });

  test('a literal address, for which no name is looked up, is checked as well', async () => {
    await using receiver = await openReceiver();
    const { port } = new URL(receiver.url);
    for (const host of ['127.0.0.1', '2130706433', '[::ffff:127.0.0.1]']) {
      await expect(dial(`http://${host}:${port}`, guardDestinations())).rejects.toThrow('is not a public address');
    }
    expect(receiver.webhooks.items).toHaveLength(0);
  });

  test('a name that resolves to an allowed address is connected to', async () => {
    await using receiver = await openReceiver(200);
    const { port } = new URL(receiver.url);
    const guard = guardDestinations({ resolve: resolver(['127.0.0.1']), allow: ['127.0.0.1'] });
    expect(await dial(`http://shop.example:${port}`, guard)).toBe(200);
  });
});
