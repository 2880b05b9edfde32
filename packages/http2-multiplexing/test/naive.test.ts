/** What the textbook's server does, and what it does not. */
import { once } from 'node:events';
import { connect, constants } from 'node:http2';
import { get } from 'node:https';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { startProcess } from '@patterns/kit/testing/processes';
import { within } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';

test('the textbook’s server: HTTP/1.1 turned away, an unknown path never answered, and one reset stream ends it for all', async () => {
  await using _leaks = noLeaks();
  await using server = startProcess(new URL('../naive.ts', import.meta.url));
  const url = await server.url();
  const [answer] = await once(get(`${url}/resource1`, { agent: false, rejectUnauthorized: false }), 'response');
  answer.resume();
  expect(answer.statusCode).toBe(403);

  const [victim, attacker] = [open(url), open(url)];
  const unknown = victim.request({ ':path': '/resource3' });
  let isAnswered = false;
  unknown.on('response', () => (isAnswered = true)).on('error', () => {});
  const known = victim.request({ ':path': '/resource2' });
  expect((await once(known, 'response'))[0]).toMatchObject({ ':status': 200 });
  known.resume();

  const lost = once(victim, 'close');
  const stream = attacker.request({ ':path': '/resource3' });
  stream.on('error', () => {});
  const second = attacker.request({ ':path': '/resource1' });
  await once(second, 'response'); // so the first one has arrived, too
  second.resume();
  stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  expect(await within('the server’s end', 10_000, server.exited), server.output()).toMatchObject({ code: 1 });
  expect(server.output()).toContain('ERR_HTTP2_STREAM_ERROR');
  await lost;
  expect(isAnswered).toBe(false);
  attacker.destroy();
});

function open(url: string) {
  const session = connect(url, { rejectUnauthorized: false });
  session.on('error', () => {}); // its server dies
  return session;
}
