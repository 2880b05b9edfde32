/** The demo's naive half: the textbook's session, and what becomes of its users. */
import { createHmac } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import { openRestaurant } from './demo-stage.ts';
import { NAIVE_SECRET } from './naive.ts';

export async function runNaive(stage: Stage): Promise<void> {
  const { story } = stage;
  const restaurant = await openRestaurant(stage);
  const browser = await restaurant.person('browser');
  const attacker = await restaurant.person('attacker');
  const john = { name: 'John' };

  await restaurant.serve('server A', 'naive.ts', {});
  const first = await browser.ask('server A', 'POST /login', { body: john });
  const nobody = await browser.ask('server A', 'GET /profile');
  story.claim(
    'naive: `secure: true` over plain HTTP: "Logged in", no cookie, and nobody was told',
    first.status === 200 && nobody.status === 401,
  );

  story.act('server A', 'is started again without `secure`, as everybody does then, and a second one beside it');
  const insecure = { SECURE: '0' };
  await Promise.all([
    restaurant.serve('server A', 'naive.ts', insecure),
    restaurant.serve('server B', 'naive.ts', insecure),
  ]);
  await browser.ask('server A', 'POST /login', { body: john });
  const there = await browser.ask('server B', 'GET /profile');
  story.claim('naive: the second server does not know who logged in at the first', there.status === 401);

  story.fault('the attacker logs in, and plants the cookie in the browser (from a subdomain, or on a plain line)');
  await attacker.ask('server A', 'POST /login', { body: { name: 'Mallory' } });
  browser.jar.set('connect.sid', attacker.jar.get('connect.sid')!);
  await browser.ask('server A', 'POST /login', { body: john });
  const fixed = await attacker.ask('server A', 'GET /profile');
  story.claim(`naive: session fixation: the attacker reads the profile of ${fixed.name}`, fixed.name === 'John');

  story.fault('the attacker reads an id in a log, and signs a cookie with the secret that is in every introduction');
  const id = /John has logged in, session (\S+)/.exec(restaurant.log())![1]!;
  const signature = createHmac('sha256', NAIVE_SECRET).update(id).digest('base64').replace(/=+$/, '');
  attacker.jar.set('connect.sid', encodeURIComponent(`s:${id}.${signature}`));
  const forged = await attacker.ask('server A', 'GET /profile');
  story.claim('naive: a log and a guessed secret are a login', forged.name === 'John');

  story.fault('a page of evil.example has the browser post a form');
  const crossSite = { body: { name: 'Mallory' }, headers: { Origin: 'https://evil.example' } };
  const posted = await browser.ask('server A', 'POST /login', crossSite);
  story.claim('naive: another site may post in the user’s name', posted.status === 200);

  story.fault('two preferences are set at once');
  const set = ['large', 'quiet'];
  await Promise.all(set.map((preference) => browser.ask('server A', `PUT /preferences/${preference}`)));
  const { preferences = [] } = await browser.ask('server A', 'GET /profile');
  const lost = set.filter((preference) => !preferences.includes(preference)).length;
  story.claim('naive: each request wrote back the whole session, and one preference is lost', lost === 1);

  story.fault('server A is restarted');
  await restaurant.serve('server A', 'naive.ts', insecure);
  const after = await browser.ask('server A', 'GET /profile');
  story.claim('naive: a restart logged everybody out', after.status === 401);

  story.measure('naive', {
    'known at the second server': there.status === 200 ? 'yes' : 'no',
    'known after a restart': after.status === 200 ? 'yes' : 'no',
    'attacks that worked, of 3': [fixed.name === 'John', forged.name === 'John', posted.status === 200].filter(Boolean)
      .length,
    'preferences lost, of 2': lost,
  });
}
