/** What an attacker sends: bytes that two parsers read in two ways, addresses, other people's answers, slowness, and log lines. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@patterns/kit/testing/until';
import { expect } from 'vitest';
import type { Clauses } from './contract.ts';
import { answerOk, sendJson } from './contract-app.ts';
import { ask, rawClient, statuses } from './contract-client.ts';

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
const post = (fields: string, body: string) => `POST / HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n${body}`;
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;

/** Each is one request to one reader and two to another. No byte of it may reach the app. [RFC 9112 §6.3, §11.2] */
const SMUGGLING: Record<string, string> = {
  'CL+TE': post('Content-Length: 4\r\nTransfer-Encoding: chunked', `0\r\n\r\n${SMUGGLED}`),
  'TE+CL': post('Transfer-Encoding: chunked\r\nContent-Length: 4', chunk(SMUGGLED)),
  'CL.CL': post(`Content-Length: 0\r\nContent-Length: ${SMUGGLED.length}`, SMUGGLED),
  'CL list': post(`Content-Length: 0, ${SMUGGLED.length}`, SMUGGLED),
  'CL with a sign': post('Content-Length: +0', SMUGGLED),
  'CL in hexadecimal': post('Content-Length: 0x0', SMUGGLED),
  'CL negative': post('Content-Length: -1', SMUGGLED),
  'CL too large': post('Content-Length: 18446744073709551616', SMUGGLED),
  'TE unknown': post('Transfer-Encoding: xchunked', `0\r\n\r\n${SMUGGLED}`),
  'TE quoted': post('Transfer-Encoding: "chunked"', `0\r\n\r\n${SMUGGLED}`),
  'TE not last': post('Transfer-Encoding: chunked, identity', `0\r\n\r\n${SMUGGLED}`),
  'TE twice, the second unknown': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: x', `0\r\n\r\n${SMUGGLED}`),
  'TE, space before the colon': post('Transfer-Encoding : chunked', `0\r\n\r\n${SMUGGLED}`),
  'TE with a control character': post('Transfer-Encoding: \x0bchunked', `0\r\n\r\n${SMUGGLED}`),
  'CL, TE hidden by a bare LF': post('Content-Length: 4\r\nX: y\nTransfer-Encoding: chunked', `0\r\n\r\n${SMUGGLED}`),
  'CL, TE hidden by a bare CR': post('Content-Length: 4\r\nX: y\rTransfer-Encoding: chunked', `0\r\n\r\n${SMUGGLED}`),
  'CL, TE hidden by a NUL': post('Content-Length: 4\r\nX: y\0\r\nTransfer-Encoding: chunked', `0\r\n\r\n${SMUGGLED}`),
  'lines that end with a bare LF': `POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n${SMUGGLED}`,
  'a line before the first field': `POST / HTTP/1.1\r\n Content-Length: 0\r\nHost: x\r\n\r\n${SMUGGLED}`,
  'two hosts': `GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n`,
  'no host': `GET / HTTP/1.1\r\n\r\n`,
};

/** Here the head is sound, and what follows is not: the app may see the head, but nothing behind the place where it goes wrong. */
const CHUNKS: Record<string, string> = {
  'a size in 0x': `0x0\r\n\r\n${SMUGGLED}`,
  'a size with a sign': `+0\r\n\r\n${SMUGGLED}`,
  'a size too large': `fffffffffffffffff\r\n${SMUGGLED}`,
  'a size that ends with a bare LF': `0\n\n${SMUGGLED}`,
  'a chunk longer than said': `3\r\nabcdef\r\n0\r\n\r\n${SMUGGLED}`,
  'an extension that ends with a bare LF': `0;a\n\r\n\r\n${SMUGGLED}`,
};

export const attacks: Clauses = {
  'request smuggling by the head': [
    'a request whose end can be read in two ways is answered 400, its connection ends, and the app does not see a byte of it',
    async (rig) => {
      const { app, url } = await rig.start();
      for (const [name, bytes] of Object.entries(SMUGGLING)) {
        using client = await rawClient(url);
        client.write(bytes);
        if (name !== 'no host' && name !== 'two hosts') expect(statuses(await client.closed()), name).toEqual([400]);
        else expect(statuses(await client.wait(/\r\n\r\n/)), name).toEqual([400]);
      }
      expect(app.received()).toBe('');
      // That it would have seen it: a body that looks like a request is a body.
      const control = await ask(url, '/', { method: 'POST', body: SMUGGLED });
      expect(JSON.parse(control.body)).toMatchObject({ bytes: SMUGGLED.length });
      expect(app.requests).toEqual(['POST /']);
    },
  ],
  'request smuggling by chunks': [
    'chunks that can be read in two ways end the connection, and what stands behind them never becomes a request',
    async (rig) => {
      const { app, url } = await rig.start();
      for (const [name, chunks] of Object.entries(CHUNKS)) {
        using client = await rawClient(url);
        client.write(post('Transfer-Encoding: chunked', chunks));
        const received = await client.closed();
        expect(
          statuses(received).filter((status) => status === 200),
          name,
        ).toEqual([]);
      }
      expect(app.requests.filter((each) => each !== 'POST /')).toEqual([]);
      expect(app.received()).not.toContain('smuggled');
    },
  ],
  pipelining: [
    'requests that are sent ahead are answered in their order, each once',
    async (rig) => {
      const { app, url } = await rig.start((request, response) => {
        setTimeout(() => sendJson(response, request.url), request.url === '/1' ? 100 : 0);
      });
      using client = await rawClient(url);
      client.write([1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
      const received = await client.wait(/"\/3"/);
      expect([...received.matchAll(/"\/(\d)"/g)].map(([, n]) => n)).toEqual(['1', '2', '3']);
      expect(app.requests).toHaveLength(3);
    },
  ],
  'fixed upstream': [
    'whatever the target says (absolute form, //, .., %2f, another Host), the app is asked, byte for byte, and nobody else',
    async (rig) => {
      const { app, url } = await rig.start();
      let strangers = 0;
      const stranger = createServer((socket) => {
        strangers++;
        socket.destroy();
      }).listen(0, '127.0.0.1');
      rig.use(stranger);
      await once(stranger, 'listening');
      const { port } = stranger.address() as { port: number };
      for (const [target, asked = target] of [
        [`http://127.0.0.1:${port}/a?b`, '/a?b'],
        [`http://127.0.0.1:${port}`, '/'],
        [`http://127.0.0.1:${port}?q`, '/?q'],
        [`//127.0.0.1:${port}/a`],
        [`/@127.0.0.1:${port}/a`],
        [`/\\127.0.0.1:${port}/a`],
        ['/a/../../b'],
        ['/a/%2e%2e/b%2fc%5C'],
        [`/http://127.0.0.1:${port}/`],
        ['/a?x=/../&y=%0d%0aX-Injected:1'],
      ] as const) {
        using client = await rawClient(url);
        client.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
        expect(statuses(await client.closed()), target).toEqual([200]);
        expect(app.requests.at(-1), target).toBe(`GET ${asked}`);
      }
      for (const target of [`http://user@127.0.0.1:${port}/`, `ftp://127.0.0.1:${port}/`, `127.0.0.1:${port}`]) {
        using client = await rawClient(url);
        client.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
        expect(statuses(await client.closed()), target).toEqual([400]);
      }
      using tunnel = await rawClient(url);
      tunnel.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect(await tunnel.closed()).not.toMatch(/^HTTP\/1\.1 2/);
      expect(strangers).toBe(0);
      expect(app.received()).not.toMatch(/^X-Injected/m);
    },
  ],
  'OPTIONS *': [
    'a question about the server as a whole reaches the app as it is [RFC 9110 §9.3.7]',
    async (rig) => {
      const { app, url } = await rig.start();
      using client = await rawClient(url);
      client.write('OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      expect(statuses(await client.closed())).toEqual([200]);
      expect(app.requests).toEqual(['OPTIONS *']);
    },
  ],
  'forged X-Forwarded-For': [
    'what a client says of its address is replaced by what the socket says, for the app and for the limiter',
    async (rig) => {
      const limit = { max: 2, windowMs: 60_000, prefix: rig.prefix() };
      const { app, url } = await rig.start(answerOk, { redisUrl: rig.redisUrl, limit });
      const answers: number[] = [];
      for (const address of ['1.1.1.1', '2.2.2.2, 3.3.3.3', '::1']) {
        const forged = { 'X-Forwarded-For': address, 'X-Real-IP': address, Forwarded: `for=${address}` };
        const { status } = await ask(url, '/', {
          headers: {
            ...forged,
            'X-Forwarded-Proto': 'https',
            'X-Forwarded-Host': 'evil.example',
            Host: 'shop.example',
          },
        });
        answers.push(status);
      }
      expect(answers).toEqual([200, 200, 429]);
      const { fields, lines } = app.head();
      expect(fields.get('x-forwarded-for')).toBe('127.0.0.1');
      expect(fields.get('x-forwarded-host')).toBe('shop.example');
      expect(fields.get('x-forwarded-proto')).toBe('http');
      expect(fields.get('via')).toBe('1.1 sidecar');
      expect(fields.has('x-real-ip') || fields.has('forwarded')).toBe(false);
      expect(lines.filter((line) => /^x-forwarded-for:/i.test(line))).toHaveLength(1);
    },
  ],
  'a proxy in front': [
    'with one trusted hop the address is the one that this proxy has appended, and not what the client wrote before it',
    async (rig) => {
      const { app, url, accessLog } = await rig.start(answerOk, { trustedHops: 1 });
      await ask(url, '/', { headers: { 'X-Forwarded-For': '6.6.6.6, 192.0.2.7' } });
      expect(app.head().fields.get('x-forwarded-for')).toBe('192.0.2.7, 127.0.0.1');
      await until('the line', () => accessLog()[0]?.client === '192.0.2.7');
    },
  ],
  'cache poisoning': [
    'an answer that was made for headers which are not in the key is not given to others',
    async (rig) => {
      const { url } = await rig.start((request, response) => {
        sendJson(response, request.rawHeaders.join(' '), { 'Cache-Control': 'max-age=60' });
      });
      const forged = {
        'X-Forwarded-Host': 'evil',
        'X-Forwarded-Proto': 'evil',
        'X-Forwarded-Port': 'evil',
        'X-Host': 'evil',
        'X-Original-URL': '/evil',
        'X-Rewrite-URL': '/evil',
        'X-HTTP-Method-Override': 'evil',
        'X-Theme': 'evil',
        Forwarded: 'host=evil',
        Cookie: 'lang=evil',
        Origin: 'http://evil',
        Referer: 'http://evil',
        Via: 'evil',
        Authorization: 'evil',
        Host: 'evil',
        Range: 'evil=0-1',
      };
      for (const [name, value] of Object.entries(forged)) {
        await ask(url, `/${name}`, { headers: { Host: 'shop.example', [name]: value } });
        const { body } = await ask(url, `/${name}`, { headers: { Host: 'shop.example' } });
        expect(body, name).not.toContain('evil');
      }
      using fat = await rawClient(url);
      fat.write('GET /fat HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil');
      await fat.closed();
      expect((await ask(url, '/fat', { headers: { Host: 'shop.example' } })).headers).not.toHaveProperty('age');
      using absolute = await rawClient(url);
      absolute.write('GET http://evil/absolute HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n');
      await absolute.closed();
      expect((await ask(url, '/absolute', { headers: { Host: 'shop.example' } })).body).not.toContain('evil');
    },
  ],
  'slow requests': [
    'who sends a head or a body byte by byte is cut off, and others are answered meanwhile',
    async (rig) => {
      const { url } = await rig.start(answerOk, { limits: { headersMs: 400, requestMs: 800 } });
      const drip = async (begin: string) => {
        using client = await rawClient(url);
        client.write(begin);
        while (!client.socket.closed) {
          client.write('a');
          await delay(40);
        }
        return client.received();
      };
      const slow = [drip('GET / HTTP/1.1\r\nX-Slow: '), drip(post('Content-Length: 9999', ''))];
      expect((await ask(url)).status).toBe(200);
      const [head, body] = await Promise.all(slow);
      expect(head).toMatch(/^HTTP\/1\.1 408 /);
      expect(body).not.toMatch(/^HTTP\/1\.1 2/);
    },
  ],
  'log injection': [
    'whatever a request holds, it is one line of JSON: no line of its own, no field of its own, no control character',
    async (rig) => {
      const { url, accessLog, accessText } = await rig.start(answerOk, {
        accessLog: { headers: ['user-agent'], query: ['q'] },
      });
      const hostile = [
        ['/a%0d%0a%7B%22level%22:%22forged%22%7D', 'x'],
        ['/","status":999,"x":"', '","status":999,"level":"forged'],
        ['/?q=%1b%5B31m%0a%00%e2%80%a8%c2%9b', 'a\x9b31mb\x85c'],
        [`/${'long'.repeat(1_000)}`, 'y'.repeat(3_000)],
        ['/__proto__?__proto__=1&constructor=2', '{"__proto__":{"status":999}}'],
      ];
      for (const [path, agent] of hostile) {
        using client = await rawClient(url);
        client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nUser-Agent: ${agent}\r\nConnection: close\r\n\r\n`);
        expect(statuses(await client.closed())).toEqual([200]);
      }
      await until('all lines', () => accessLog().length === hostile.length);
      for (const line of accessLog()) expect(line).toMatchObject({ level: 'info', status: 200, method: 'GET' });
      expect(accessText().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
      for (const line of accessText().split('\n')) expect(line.length).toBeLessThan(2_000);
    },
  ],
  redaction: [
    'no secret is logged: Authorization, Cookie, Set-Cookie, a token in the query, a body',
    async (rig) => {
      const { url, accessLog, accessText, messages } = await rig.start((request, response) => {
        request.resume();
        sendJson(response, { password: 'hunter2' }, { 'Set-Cookie': 'sid=hunter2', Location: '/?token=hunter2' });
      });
      await ask(url, '/login?token=hunter2&access_token=hunter2&page=2', {
        method: 'POST',
        headers: {
          Authorization: 'Bearer hunter2',
          Cookie: 'sid=hunter2',
          'X-Api-Key': 'hunter2',
          Referer: '/?hunter2',
        },
        body: 'password=hunter2',
      });
      await until('its line', () => accessLog().length === 1);
      expect(accessLog()[0]).toMatchObject({ method: 'POST', path: '/login', status: 200 });
      expect(accessText() + messages()).not.toContain('hunter2');
    },
  ],
};
