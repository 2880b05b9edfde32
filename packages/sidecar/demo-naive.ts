/** The naive half: the textbook's sidecar and its app, in front of a client who has read about it. */
import type { Stage } from '@patterns/kit/demo';
import { startProcess } from '@patterns/kit/testing/processes';
import { type Answer, openScene, PATIENCE_MS } from './demo-stage.ts';

/** The textbook's limit, and more than that. */
const LIMIT = 100;
const ASKED = 105;

/** Short, for a demo. (The textbook's sidecar would wait for ever.) */
const PATIENCE_OF_A_CLIENT_MS = 1_000;

export async function runNaive(stage: Stage): Promise<void> {
  const { story, signal, use } = stage;
  const { ask, line, quietly } = await openScene(stage);
  const logged: string[] = [];
  const onLine = (text: string) => void (text.startsWith('{') && logged.push(text));
  const naive = use(startProcess(new URL('naive.ts', import.meta.url), { env: { PORT: undefined }, onLine, signal }));
  line.target(await naive.url(PATIENCE_MS));
  const past = /http:\S+/.exec(await naive.line(/past the sidecar/, { withinMs: PATIENCE_MS }))![0];

  const secrets = { Authorization: 'Bearer s3cret-t0ken', Cookie: 'sid=s3cret-s3ssion' };
  await ask('/api/data', { headers: secrets });
  const found = logged.filter((text) => text.includes('s3cret')).flatMap((text) => text.match(/s3cret-\w+/g) ?? []);
  story.act('sidecar', `logs ${logged.at(-1)?.slice(0, 150)}…`);

  const answers = await quietly(async () => {
    const all: Answer[] = [];
    for (let i = 0; i < ASKED; i++) all.push(await ask('/api/data'));
    return all;
  });
  const through = answers.filter(({ status }) => status === 200).length;
  story.act('client', `asks ${ASKED} times within the limit of ${LIMIT}: ${through} are answered 200`);

  const direct = await fetch(past, { signal });
  story.act('client', `asks the app itself, at ${new URL(past).host}: ${direct.status}, with no line in the log`);

  const { body } = await ask('/echo', { headers: { 'X-Forwarded-For': '10.9.8.7' } });
  const told = (JSON.parse(body) as Record<string, string>)['x-forwarded-for'];

  const json = { 'Content-Type': 'application/json' };
  const order = await ask('/orders', {
    method: 'POST',
    headers: { ...json, 'Transfer-Encoding': 'chunked' },
    body: '{"n":1}',
  });

  const hung = await ask('/hang', {
    signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_OF_A_CLIENT_MS)]),
  }).then(
    ({ status }) => `${status}`,
    () => 'nothing',
  );
  signal.throwIfAborted();
  story.act('client', `has waited ${PATIENCE_OF_A_CLIENT_MS / 1_000} s for an app that hangs, and gives up`);

  story.measure('naive', {
    'requests let through': `${through} (limit ${LIMIT})`,
    'secrets in the log': found.length,
    'app reached past the sidecar': direct.ok ? 'yes' : 'no',
    'address that the app is told': told ?? '-',
    'an order sent in chunks': order.status,
    'the app hangs: answers': hung,
  });
  story.claim('naive: the limiter stands behind the proxy, and never ran', through === ASKED);
  story.claim('naive: the token and the session cookie are in the log', found.length >= 2);
  story.claim('naive: the app answers whoever goes past the sidecar', direct.ok);
  story.claim('naive: an order sent in chunks is answered 400', order.status === 400);
  story.claim('naive: the app is told the address that the client made up', told === '10.9.8.7');
  story.claim('naive: an app that hangs has the sidecar hang', hung === 'nothing');
}
