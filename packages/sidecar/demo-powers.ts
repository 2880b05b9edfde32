/** The powers, each shown alone, in front of the same app. */
import { generateKeyPairSync } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import jwt from 'jsonwebtoken';
import { type Answer, PATIENCE_MS, type Running, type Scene, showEntry } from './demo-stage.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

/** What the app saw. */
export const seenBy = ({ body }: Answer) => (JSON.parse(body) as { headers: Record<string, string> }).headers;

/** On whatever powers: what goes to the app is not what the client says, but what the sidecar knows. */
export async function showForwarding(
  { story }: Stage,
  { line, ask, goThrough }: Scene,
  sidecar: Running,
): Promise<void> {
  goThrough(sidecar, 'stands before the app: what it passes on is what it knows, and not what the client says');
  story.tryIt(`curl -i ${line.url}/api/data`);
  const headers = {
    'X-Forwarded-For': '10.9.8.7',
    traceparent: `00-${TRACE}-${SPAN}-01`,
    'X-Debug': '1',
    Connection: 'close, X-Debug',
  };
  const seen = seenBy(await ask('/echo', { headers }));
  const json = { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' };
  const order = await ask('/orders', { method: 'POST', headers: json, body: '{"n":1}' });
  const [, trace, span] = seen.traceparent?.split('-') ?? [];
  story.measure('sound', {
    'address that the app is told': seen['x-forwarded-for'] ?? '-',
    'an order sent in chunks': order.status,
  });
  story.claim('sound: the app is told the address of the socket', seen['x-forwarded-for'] === '127.0.0.1');
  story.claim('sound: same trace, a span of its own', trace === TRACE && span !== undefined && span !== SPAN);
  story.claim('sound: what Connection names stays behind', !('x-debug' in seen));
  story.claim('sound: an order sent in chunks is an order', order.status === 201);
}

export async function showLog({ story }: Stage, { ask }: Scene, logging: Running): Promise<void> {
  story.act('sidecar', 'has the log switched on: POWERS=log');
  const headers = { Authorization: 'Bearer s3cret-t0ken', Cookie: 'sid=s3cret-s3ssion' };
  await ask('/api/data?page=2&token=s3cret', { headers });
  const entry = await logging.entries.find('the line', ({ path }) => path === '/api/data', { withinMs: PATIENCE_MS });
  story.act('sidecar', showEntry(entry));
  const secrets = logging.program.output().match(/s3cret/g)?.length ?? 0;
  story.measure('sound', { 'secrets in the log': secrets });
  story.claim(
    'sound: the line is there, the page in it, and no secret',
    JSON.stringify(entry.query).includes('"page":"2"') && secrets === 0,
  );
}

/** Keys and tokens of an issuer that the sidecar is told to believe. */
export function tokenMaker() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [issuer, audience] = ['https://issuer.example', 'https://shop.example'];
  return {
    env: {
      TOKEN_ALGORITHM: 'ES256',
      TOKEN_KEY: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      TOKEN_ISSUER: issuer,
      TOKEN_AUDIENCE: audience,
    },
    make: (subject: string) =>
      jwt.sign({}, privateKey, { algorithm: 'ES256', subject, issuer, audience, expiresIn: 60 }),
  };
}

type Tokens = ReturnType<typeof tokenMaker>;

export async function showTokens(
  { story }: Stage,
  { ask, goThrough }: Scene,
  checking: Running,
  tokens: Tokens,
): Promise<void> {
  goThrough(checking, 'with POWERS=tokens,cache, before the same app');
  const without = await ask('/echo');
  story.act('client', 'asks again, with a token');
  const withToken = await ask('/echo', { headers: { Authorization: `Bearer ${tokens.make('alice')}` } });
  const seen = withToken.status === 200 ? seenBy(withToken) : {};
  story.claim('sound: 401 without a token', without.status === 401);
  story.claim(
    'sound: with one, the app is told who asks, and is not given the token',
    seen['x-authenticated-subject'] === 'alice' && !('authorization' in seen),
  );
}

export async function showCache({ story }: Stage, { ask }: Scene): Promise<void> {
  story.act('client', 'asks for the menu, which needs no token (PUBLIC_PATHS=/menu), twice');
  const answers = [await ask('/menu'), await ask('/menu')];
  const asked = answers.map(({ body }) => (JSON.parse(body) as { asked: number }).asked);
  story.claim('sound: the second menu comes out of the cache, the app was asked once', asked[0] === asked[1]);
}
