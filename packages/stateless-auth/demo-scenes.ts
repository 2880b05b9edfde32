/** What happens to the sound version, scene by scene: each tells itself, and returns what was counted. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Stage } from '@patterns/kit/demo';
import { until } from '@patterns/kit/testing/until';
import type { Session } from './client.ts';
import { readParts } from './demo-forgery.ts';
import { type House, LIFE_S, POLL_MS, REFRESH_GRACE_MS } from './demo-stage.ts';
import { JWKS_PATH, PROFILE_PATH, TOKEN_PATH, type Tokens } from './protocol.ts';

/** Fifty requests at once, with a token that has expired. @returns how many were answered, and how many exchanges that took. */
export async function burst({ story, signal }: Stage, house: House, session: Session, expired: Promise<void>) {
  story.act('client', `waits for the end of its token, ${LIFE_S} s instead of 10 min`);
  await expired;
  const exchanges = () => house.lines.issuer.wire.requests.get(`POST ${TOKEN_PATH}`) ?? 0;
  const before = exchanges();
  const answers = await house.unseen(() =>
    Promise.all(Array.from({ length: 50 }, () => session.fetch(house.lines.a.url + PROFILE_PATH, { signal }))),
  );
  await Promise.all(answers.map((answer) => answer.arrayBuffer()));
  const answered = answers.filter(({ ok }) => ok).length;
  const made = exchanges() - before;
  story.wire('client', 'server A', `50 × GET ${PROFILE_PATH}, at once, with the expired token in hand`);
  story.wire('client', 'issuer', `${made} × POST ${TOKEN_PATH}: the others waited for it`);
  story.wire('server A', 'client', `${answered} × 200`);
  return { answered, exchanges: made };
}

/** The issuer changes its key while both servers are asked without a pause. @returns what was asked, refused, and seen. */
export async function changeKey({ story, signal }: Stage, house: House, session: Session) {
  const { a, b } = house.lines;
  const keys = () => new Set([...a.wire.keys, ...b.wire.keys]);
  const counts = () => [a, b].flatMap(({ wire }) => [...wire.answers]);
  const sum = (isCounted: (status: string) => boolean) =>
    counts().reduce((total, [status, count]) => total + (isCounted(status) ? count : 0), 0);
  const before = {
    all: sum(() => true),
    refused: sum((status) => status !== '200'),
    keys: keys().size,
    asked: house.asked(JWKS_PATH),
  };
  story.fault('the issuer changes its key, and both servers are asked without a pause');
  process.kill(house.issuer.pid, 'SIGUSR2');
  const enough = new AbortController();
  const customer = async (url: string) => {
    while (!enough.signal.aborted) {
      const response = await session.fetch(url + PROFILE_PATH, { signal });
      await response.arrayBuffer();
      await delay(5, undefined, { signal });
    }
  };
  await house.unseen(async () => {
    const customers = Promise.all([...house.servers, ...house.servers].map(customer));
    customers.catch(() => {}); // whatever it was: they are awaited below, unless ^C comes first
    await until('a token with the new key', () => keys().size > before.keys, { signal });
    const reached = sum(() => true) + 100;
    await until('a hundred requests with it', () => sum(() => true) > reached, { signal });
    enough.abort();
    await customers;
  });
  const asked = sum(() => true) - before.all;
  const refused = sum((status) => status !== '200') - before.refused;
  story.wire(
    'client',
    'server A',
    `${asked} × GET ${PROFILE_PATH}, at A and at B, with tokens of the old key, then of the new`,
  );
  story.wire('server A', 'client', `${refused} × refused, all others 200`);
  story.act(
    'issuer',
    `was asked for its keys ${house.asked(JWKS_PATH) - before.asked} times meanwhile, by two servers`,
  );
  return { asked, refused, keys: keys().size - before.keys };
}

/** A refresh token that was copied is used after its owner has. @returns how both of them fare. */
export async function stealRefreshToken({ story, signal }: Stage, house: House) {
  const owner = await house.login();
  const { body } = await house.exchange(owner.refresh_token);
  story.fault('somebody has copied the refresh token, and shows it after its owner has');
  await delay(2 * REFRESH_GRACE_MS, undefined, { signal });
  const thief = await house.exchange(owner.refresh_token);
  story.act('issuer', 'one token in two hands: nobody can say whose is the right one, so both lose');
  const victim = await house.exchange((body as Tokens).refresh_token);
  return { thief: thief.status, victim: victim.status };
}

/** A logout, and how long the access token is taken after it: by A, which does not ask; by B, which does. In milliseconds. */
export async function signOut({ story, signal }: Stage, house: House) {
  const { access_token: access, refresh_token: refresh } = await house.login();
  const expiresAt = Number(readParts(access).payload.exp) * 1_000;
  await house.revoke(refresh);
  const revokedAt = Date.now();
  story.fault('John has logged out. Somebody had copied his access token, and goes on showing it');
  const takenFor = async (line: House['lines']['a']) => {
    await until('refused', async () => (await house.show(access, line)) === 401, { signal });
    return Date.now() - revokedAt;
  };
  const { a, b } = house.lines;
  const [atA, atB] = await house.unseen(() => Promise.all([takenFor(a), takenFor(b)]));
  story.wire('server B', 'client', `401 after ${atB} ms: it asks what is revoked every ${POLL_MS} ms`);
  story.wire('server A', 'client', `401 after ${atA} ms: when the token had expired, and not before`);
  return { atA, atB, leftMs: expiresAt - revokedAt };
}
