import { expect, test } from 'vitest';
import { checkRequest, checkResponse, fieldsThatCross, MalformedError, type RequestHead } from '../headers.ts';

const pseudo = [':method', 'GET', ':path', '/', ':scheme', 'https', ':authority', 'shop.test:8443'];

function check(head: Partial<RequestHead> & { fields?: string[] } = {}) {
  const { fields = [], ...rest } = head;
  const known = { method: 'GET', target: '/a?b=c', version: '2.0', from: '192.0.2.1', scheme: 'https' as const };
  return checkRequest({ ...known, raw: [...pseudo, ...fields], hasBody: false, ...rest });
}

test('what belongs to one connection does not cross, nor what Connection names', () => {
  const raw = [
    ['Connection', 'close, X-Secret ,TE'],
    ['connection', 'x-other'],
    ['X-Secret', '1'],
    ['X-Other', '2'],
    ['Keep-Alive', 'timeout=5'],
    ['TE', 'trailers'],
    ['Trailer', 'Digest'],
    ['Transfer-Encoding', 'chunked'],
    ['Upgrade', 'h2c'],
    ['HTTP2-Settings', 'AAMAAABk'],
    ['Proxy-Connection', 'keep-alive'],
    ['Proxy-Authorization', 'Basic eDp5'],
    ['Proxy-Authenticate', 'Basic'],
    ['Accept', 'text/plain'],
  ].flat();
  expect(fieldsThatCross(raw)).toEqual({ accept: 'text/plain' });
});

test('crumbs of a cookie are joined by semicolons, other lines by commas, and Set-Cookie not at all', () => {
  const raw = ['cookie', 'a=1', 'accept', 'text/html', 'cookie', 'b=2', 'Accept', 'text/plain', 'cookie', 'c=3'];
  expect(fieldsThatCross(raw)).toEqual({ cookie: 'a=1; b=2; c=3', accept: 'text/html, text/plain' });
  expect(fieldsThatCross(['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'])).toEqual({ 'set-cookie': ['a=1', 'b=2'] });
});

test('a field called __proto__ is a field', () => {
  const fields = fieldsThatCross(['__proto__', 'x']);
  expect(Object.entries(fields)).toEqual([['__proto__', 'x']]);
});

test.each([
  ['CR LF in a value', ['x', 'a\r\nTransfer-Encoding: chunked']],
  ['LF in a value', ['x', 'a\nb']],
  ['NUL in a value', ['x', 'a\0b']],
  ['CR LF in a name', ['x\r\ny', 'a']],
  ['a space in a name', ['transfer-encoding ', 'chunked']],
  ['a colon in a name', ['x: y', 'a']],
  ['no name', ['', 'a']],
])('%s does not cross, in a request or a response', (_what, fields) => {
  expect(() => check({ fields })).toThrow(MalformedError);
  expect(() => checkResponse(fields, { status: 200, version: '1.1' })).toThrow(MalformedError);
});

test.each<[string, Parameters<typeof check>[0]]>([
  ['a space in the method', { method: 'GET / HTTP/1.1\r\nX:' }],
  ['CR LF in the path', { target: '/ HTTP/1.1\r\nHost: evil' }],
  ['a space in the path', { target: '/a HTTP/1.1' }],
  ['a path in absolute form', { target: 'http://evil/' }],
  ['a path that is *', { target: '*' }],
  ['a fragment', { target: '/a#b' }],
  ['a path beyond ASCII', { target: '/\u010d\u010a' }],
  ['no host', { raw: [':method', 'GET'] }],
  ['two hosts', { raw: ['Host', 'a', 'Host', 'a'], version: '1.1' }],
  ['a Host that is not :authority', { fields: ['host', 'evil'] }],
  ['a host with a user', { raw: ['Host', 'admin@shop.test'] }],
  ['a host with a path', { raw: ['Host', 'shop.test/evil'] }],
  ['an empty host', { raw: ['Host', ''] }],
  ['Transfer-Encoding over HTTP/2', { fields: ['transfer-encoding', 'chunked'], hasBody: true }],
  ['Transfer-Encoding over HTTP/1.0', { raw: ['Host', 'a', 'Transfer-Encoding', 'chunked'], version: '1.0' }],
  ['a coding that is not chunked', { raw: ['Host', 'a', 'Transfer-Encoding', 'gzip, chunked'], version: '1.1' }],
  [
    'both framings',
    { raw: ['Host', 'a', 'Transfer-Encoding', 'chunked', 'Content-Length', '5'], version: '1.1', hasBody: true },
  ],
  ['two lengths', { fields: ['content-length', '5', 'content-length', '5'], hasBody: true }],
  ['a length with a sign', { fields: ['content-length', '+5'], hasBody: true }],
  ['a length without content', { fields: ['content-length', '5'] }],
])('%s is refused', (_what, head) => {
  expect(() => check(head)).toThrow(MalformedError);
});

test('who asked is written anew: what the client claims about it is dropped', () => {
  const claims = [
    'x-forwarded-for',
    '6.6.6.6',
    'x-forwarded-host',
    'evil',
    'x-forwarded-user',
    'root',
    'forwarded',
    'for=6',
  ];
  expect(check({ fields: [...claims, 'via', '1.0 cache'] })).toEqual({
    method: 'GET',
    path: '/a?b=c',
    authority: 'shop.test:8443',
    fields: {
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.test:8443',
      via: '1.0 cache, 2.0 patterns',
    },
  });
});

test('a length crosses with the content it belongs to; Connection can take it away, and the content is then framed in chunks', () => {
  expect(check({ fields: ['content-length', '5'], hasBody: true }).fields['content-length']).toBe('5');
  expect(check({ fields: ['content-length', '0'] }).fields).not.toHaveProperty('content-length');
  const taken = {
    raw: ['Host', 'a', 'Content-Length', '5', 'Connection', 'content-length'],
    version: '1.1',
    hasBody: true,
  };
  expect(check(taken).fields).not.toHaveProperty('content-length');
});

test('204 keeps no length, 304 the one it would have had', () => {
  const raw = ['Content-Length', '5', 'Content-Type', 'text/plain'];
  expect(checkResponse(raw, { status: 204, version: '1.1' })).toEqual({
    'content-type': 'text/plain',
    via: '1.1 patterns',
  });
  expect(checkResponse(raw, { status: 304, version: '1.1' })).toHaveProperty('content-length', '5');
  expect(() => checkResponse(raw, { status: 999, version: '1.1' })).toThrow(MalformedError);
});
