/** The demo's sound half: the same attacks and faults, and some more. */
import { createHmac } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import { until } from '@patterns/kit/testing/until';
import {
  MALLORY,
  openBacking,
  openRestaurant,
  type Person,
  type Restaurant,
  SERVERS,
  type ServerName,
} from './demo-stage.ts';
import { DEMO_USER, PATHS } from './protocol.ts';

const OLD = 'the-old-secret-long-and-random-as-it-should-be';
const NEW = 'the-new-secret-long-and-random-as-it-should-be';

export async function runSound(stage: Stage): Promise<void> {
  const { story } = stage;
  const { redis, env } = await openBacking(stage);
  const restaurant = await openRestaurant(stage);
  const serve = (server: ServerName, ...secrets: string[]) =>
    restaurant.serve(server, 'server.ts', { ...env, SESSION_SECRETS: secrets.join(',') });
  const serveBoth = (...secrets: string[]) => Promise.all(SERVERS.map((server) => serve(server, ...secrets)));
  await serveBoth(OLD);
  const browser = await restaurant.person('browser');
  const attacker = await restaurant.person('attacker');

  await browser.ask('server A', 'POST /login', { body: DEMO_USER });
  const there = await browser.ask('server B', 'GET /profile');
  story.claim('sound: the second server knows who logged in at the first', there.name === DEMO_USER.name);

  const attacks = await attack(stage, restaurant, browser, attacker);

  story.fault('two preferences are set at once, at two servers');
  const set = ['large', 'quiet'];
  await Promise.all(
    set.map((preference, i) => browser.ask(i ? 'server B' : 'server A', `PUT /preferences/${preference}`)),
  );
  const { preferences = [] } = await browser.ask('server A', 'GET /profile');
  const lost = set.filter((preference) => !preferences.includes(preference)).length;
  story.claim('sound: both preferences are there', lost === 0);

  story.fault('Redis is killed with -9');
  await redis.kill();
  const away = await browser.ask('server A', 'GET /profile');
  const menu = await browser.ask('server A', `GET ${PATHS.menu}`);
  story.fault('Redis is started again, and reads its file');
  await redis.restart();
  const isBack = async () => {
    const answers = await Promise.all(SERVERS.map((server) => browser.ask(server, 'GET /profile'))); // each reconnects by itself
    return answers.every(({ status }) => status === 200);
  };
  const restored = await restaurant.unseen(() => until('the session is there again', isBack, { signal: stage.signal }));
  await browser.ask('server A', 'GET /profile');
  story.claim(
    'sound: without Redis 503, not a stranger’s page; the menu was served; then the session went on',
    away.status === 503 && menu.status === 200 && restored,
  );

  story.fault('server A is killed with -9; the next request goes to server B');
  await restaurant.kill('server A');
  const after = await browser.ask('server B', 'GET /profile');
  story.claim('sound: a killed server took no session with it', after.status === 200);

  story.fault('the secret is changed at both servers, in three steps: old,new · new,old · new');
  const before = browser.jar.get('sid');
  const statuses: number[] = [];
  await restaurant.unseen(async () => {
    for (const secrets of [[OLD, NEW], [NEW, OLD], [NEW]]) {
      await serveBoth(...secrets);
      for (const server of SERVERS) statuses.push((await browser.ask(server, 'GET /profile')).status);
    }
  });
  story.act('browser', `${statuses.length} requests meanwhile: ${statuses.join(' ')}; the same id, signed anew`);
  const isSignedAnew = before !== browser.jar.get('sid');
  story.claim(
    'sound: the secret was changed, and nobody was logged out',
    isSignedAnew && statuses.every((status) => status === 200),
  );

  story.act(
    'browser',
    'John logs in at another desk, too, and ends all his sessions: with the one that the planted cookie pushed out, three',
  );
  const desk = await restaurant.person('browser');
  await desk.ask('server B', 'POST /login', { body: DEMO_USER });
  const { ended } = await desk.ask('server B', 'POST /logout-everywhere');
  const over = await browser.ask('server A', 'GET /profile');
  story.claim('sound: logged out everywhere, with the next request', ended === 3 && over.status === 401);

  story.measure('sound', {
    'known at the second server': there.status === 200 ? 'yes' : 'no',
    'known after a restart': after.status === 200 ? 'yes' : 'no',
    'attacks that worked, of 3': attacks,
    'preferences lost, of 2': lost,
  });
}

/** The attacks of the naive half. @returns how many worked. */
async function attack({ story }: Stage, restaurant: Restaurant, browser: Person, attacker: Person): Promise<number> {
  story.fault('the attacker logs in, and plants the cookie in the browser');
  await attacker.ask('server A', 'POST /login', { body: MALLORY });
  browser.jar.set('sid', attacker.jar.get('sid')!);
  await browser.ask('server A', 'POST /login', { body: DEMO_USER });
  const fixed = await attacker.ask('server A', 'GET /profile');
  story.claim('sound: session fixation: the planted id was worth nothing after the login', fixed.status === 401);

  story.fault('the attacker looks for an id in the log, and signs what is there with a guessed secret');
  const { session = '' } = JSON.parse(restaurant.log().match(/^.*"message":"signed in".*$/m)?.[0] ?? '{}');
  const signature = createHmac('sha256', 'my-secret-key').update(session).digest('base64').replace(/=+$/, '');
  attacker.jar.set('sid', encodeURIComponent(`s:${session}.${signature}`));
  const forged = await attacker.ask('server A', 'GET /profile');
  const id = decodeURIComponent(browser.jar.get('sid')!).slice(2).split('.')[0]!;
  story.claim(
    'sound: the log holds digests of ids, and the secret is not guessed',
    forged.status === 401 && !restaurant.log().includes(id),
  );

  story.fault('a page of evil.example has the browser post a form');
  const posted = await browser.ask('server A', 'POST /logout', { headers: { Origin: 'https://evil.example' } });
  story.claim('sound: what another site asks for is refused', posted.status === 403);
  return [fixed.status, forged.status, posted.status].filter((status) => status < 400).length;
}
