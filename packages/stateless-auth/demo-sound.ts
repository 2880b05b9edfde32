/**
 * The demo's second half: the sound version under the same attacks, through a change of keys, a theft and a logout; then without its
 * issuer, beside a session server without its store.
 */
import type { Stage } from '@patterns/kit/demo';
import { until } from '@patterns/kit/testing/until';
import { openSession } from './client.ts';
import { attack } from './demo-attacks.ts';
import { personal, readParts } from './demo-forgery.ts';
import { burst, changeKey, signOut, stealRefreshToken } from './demo-scenes.ts';
import { JOHN, openHouse } from './demo-stage.ts';
import { openTwin } from './demo-twin.ts';
import { LOGIN_PATH } from './protocol.ts';

export async function runSound(stage: Stage): Promise<void> {
  const { story, signal } = stage;
  const house = await openHouse(stage);
  const { lines } = house;
  story.tryIt(`curl ${lines.issuer.url}${LOGIN_PATH} -H 'Content-Type: application/json' -d '${JSON.stringify(JOHN)}'`);

  const { access_token: access } = await house.login();
  const { payload } = readParts(access);
  story.act('client', `reads it, as anybody can: ${Object.keys(payload).join(', ')}`);
  const taken = await house.show(access);
  const session = await openSession(lines.issuer.url, { ...JOHN, servers: house.servers });
  const statuses = await attack(stage, house, access);

  const untilExpired = async () => {
    await until('the token has expired', () => Date.now() >= Number(payload.exp) * 1_000 + 1_000, { signal });
  };
  const { answered, exchanges } = await burst(stage, house, session, untilExpired());
  story.fault('the first token, which has expired meanwhile');
  const expired = await house.show(access);
  const change = await changeKey(stage, house, session);
  const theft = await stealRefreshToken(stage, house);
  const left = await signOut(stage, house);

  const twin = await openTwin(stage, house);
  const cookie = await twin.login();
  const commands = await twin.cost(cookie);
  await twin.ask('/logout', cookie, 'POST');
  const loggedOut = await twin.ask('/profile', cookie);
  const cookie2 = await twin.login();
  const { access_token: fresh } = await house.login();
  story.fault('the issuer is killed with -9; and so is the Redis of the sessions');
  await Promise.all([house.issuer.kill(), house.redis.kill()]);
  const withoutIssuer = [await house.show(fresh), await house.show(fresh, lines.b)];
  const withoutStore = await twin.ask('/profile', cookie2);

  story.measure('sound', {
    ...statuses,
    expired,
    'stolen, after the logout': `401 after ${left.atA} ms`,
    'the same, with a deny-list': `401 after ${left.atB} ms`,
    'personal, in the payload': personal(payload),
    'asked, per request': 'nobody',
    'bytes that say who': `Authorization: Bearer ${access}`.length,
    'its issuer, or its store, killed': withoutIssuer.join(', '),
  });
  story.measure('session', {
    'stolen, after the logout': `${loggedOut} at once`,
    'personal, in the payload': 'no payload',
    'asked, per request': `Redis, ${commands} ×`,
    'bytes that say who': `Cookie: ${cookie}`.length,
    'its issuer, or its store, killed': withoutStore,
  });
  story.claim('sound: a good token is taken', taken === 200);
  story.claim(
    'sound: no forged, foreign, changed or expired one is',
    [...Object.values(statuses), expired].every((status) => status === 401),
  );
  story.claim(`sound: 50 requests with an expired token, one exchange`, answered === 50 && exchanges === 1);
  story.claim('sound: the key was changed, and no request failed', change.refused === 0 && change.keys > 0);
  story.claim('sound: a refresh token in two hands is good in neither', theft.thief === 400 && theft.victim === 400);
  story.claim('sound: a logged-out token was taken until it expired, where nobody asks', left.atA >= left.leftMs);
  story.claim('sound: and no longer than until the next question, where the server asks', left.atB < left.atA);
  story.claim(
    'sound: the issuer was killed, and both servers went on',
    withoutIssuer.every((status) => status === 200),
  );
  story.claim('session: a logout bit at once', loggedOut === 401);
  story.claim('session: its Redis was killed, and it answered 503', withoutStore === 503);
}
