/** What the tests of the client share: an issuer behind a line that can fail, and a door whose taste in tokens can be changed. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { openSession, type SessionOptions } from '../client.ts';
import { JOHN, openIssuer } from './issuer-stage.ts';

export async function openStage() {
  await using stack = new AsyncDisposableStack();
  const issuer = stack.use(await openIssuer());
  const asked: string[] = [];
  const onData = (chunk: Buffer) => {
    const [, path] = /^POST (\S+) HTTP/.exec(chunk.toString('latin1')) ?? [];
    if (path) asked.push(path);
  };
  const line = stack.use(await startFaultProxy(issuer.url, { onData }));
  const door = stack.use(await openDoor());
  const resources = stack.move();
  return {
    issuer,
    line,
    door,
    /** Paths that the issuer was asked for over the line. */
    asked,
    exchanges: () => asked.filter((path) => path === '/token').length,
    enter: (options: Partial<SessionOptions> = {}) =>
      openSession(line.url, { ...JOHN, servers: [door.url], issuerTimeoutMs: 5_000, ...options }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** A server that answers 401 to the tokens that it does not want, and notes every token and body that it gets. */
export async function openDoor() {
  const door = {
    tokens: [] as string[],
    bodies: [] as string[],
    isWanted: (_token: string) => true,
    redirectTo: '',
    last: () => door.tokens.at(-1)!,
  };
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
    door.tokens.push(token);
    door.bodies.push((await request.toArray()).join(''));
    if (door.redirectTo) response.writeHead(302, { Location: door.redirectTo }).end();
    else if (door.isWanted(token)) response.end('welcome');
    else response.writeHead(401, { 'WWW-Authenticate': 'Bearer realm="profiles", error="invalid_token"' }).end();
  };
  const server = createServer((request, response) => void answer(request, response));
  const listening = await listen(server, { graceMs: 0 });
  return Object.assign(door, { url: listening.url, [Symbol.asyncDispose]: () => listening.close() });
}
