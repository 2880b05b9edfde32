/**
 * The demo's first half: the textbook version, and the verifier written by hand beside it, attacked by somebody who has one token
 * of their own, and now and then one of somebody else's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { DICTIONARY, forge, guessSecret, hmacWith, personal, readParts, signedLike, unsigned } from './demo-forgery.ts';
import { tokenWire } from './demo-wire.ts';

const ADMIN = { userId: 1, name: 'the boss', preferences: [] };
const BY_HAND = '/by-hand/profile';

export async function runNaive({ story, signal, use }: Stage): Promise<void> {
  const env = { LOG_LEVEL: 'error', BY_HAND_LIFE_S: '1' };
  const server = use(startProcess(new URL('naive.ts', import.meta.url), { env, signal }));
  const wire = tokenWire(story, 'client', 'naive server');
  const { url } = use(await startFaultProxy(await server.url(), wire));
  const ask = async (path: string, init: RequestInit = {}) => await fetch(url + path, { ...init, signal });
  const login = async (path: string) =>
    ((await (await ask(path, { method: 'POST' })).json()) as { token: string }).token;
  const show = async (path: string, token: string) => {
    const response = await ask(path, { headers: { Authorization: `Bearer ${token}` } });
    await response.arrayBuffer();
    return response.status;
  };

  const token = await login('/login');
  const { payload } = readParts(token);
  story.act('client', `reads it, without any key: ${JSON.stringify(payload)}`);

  story.fault('the payload is changed to user 1, the signature stays');
  const tampered = await show('/profile', forge({ ...readParts(token), payload: ADMIN }, signedLike(token)));
  story.fault(`the secret is guessed: ${DICTIONARY.length} words, on this machine, nobody is asked`);
  const { secret = '', tried, tookMs } = guessSecret(token);
  story.act('client', `"${secret}" it is: found after ${tried} words and ${tookMs.toFixed(1)} ms`);
  const signed = forge({ ...readParts(token), payload: ADMIN }, hmacWith(secret));
  const guessed = await show('/profile', signed);

  story.fault('alg: none, and no signature');
  const none = { header: { alg: 'none' }, payload: ADMIN };
  const noneAtLibrary = await show('/profile', forge(none, unsigned));
  const noneByHand = await show(BY_HAND, forge(none, unsigned));
  story.fault('alg: HS256 where RS256 is meant: the public key is taken for the secret');
  const pem = await (await ask('/by-hand/public-key.pem')).text();
  const confused = await show(BY_HAND, forge({ header: { alg: 'HS256' }, payload: ADMIN }, hmacWith(pem)));
  story.fault('a token of another service, the newsletter');
  const foreign = await show(BY_HAND, await login('/by-hand/login?audience=newsletter'));

  const short = await login('/by-hand/login');
  story.fault('a token that lived for a second, after that second');
  await delay(Number(readParts(short).payload.exp) * 1_000 + 100 - Date.now(), undefined, { signal });
  const expired = await show(BY_HAND, short);
  story.fault('John logs out, that is: forgets his token. Somebody had copied it');
  const stolen = await show('/profile', token);

  story.measure('naive', {
    'alg: none': noneByHand,
    'the public key as a secret': confused,
    'its own key in the header': '-',
    'another audience': foreign,
    'payload changed': tampered,
    'signed with a guessed secret': guessed,
    expired,
    'stolen, after the logout': stolen,
    'the same, with a deny-list': '-',
    'personal, in the payload': personal(payload),
  });
  story.claim(
    'naive: jsonwebtoken itself refused alg: none, and a payload that was changed',
    noneAtLibrary === 401 && tampered === 401,
  );
  story.claim(
    'naive: the verifier written by hand took alg: none, and its public key for a secret',
    noneByHand === 200 && confused === 200,
  );
  story.claim(
    'naive: and what had expired, and what was meant for another service',
    expired === 200 && foreign === 200,
  );
  story.claim(`naive: the secret was guessed, and anybody can be anybody`, guessed === 200 && secret !== '');
  story.claim(
    'naive: a copied token has no end: no expiry, and no logout that it would feel',
    stolen === 200 && payload.exp === undefined,
  );
}
