/**
 * What a browser does with a session, in a program: it keeps what it is given in Set-Cookie, sends it along, and knows nothing of what
 * it stands for. A client ends when it is thrown away; its session lives on until it is idle for too long, or logged out.
 */
import { main } from '@patterns/kit/main';
import { type Dispatcher, fetch, type RequestInit, type Response } from 'undici';
import { DEMO_USER, PATHS, type Profile } from './protocol.ts';

/** - `signed-out`: there is no session, or none any more: log in (401)
 *  - `unavailable`: the server cannot see to sessions just now: ask again (503)
 *  - `refused`: asking again does not help */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: 'signed-out' | 'unavailable' | 'refused';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
    this.code = status === 401 ? 'signed-out' : status === 503 ? 'unavailable' : 'refused';
  }
}

/** The cookies of one host. Its ports share them, as in a browser [RFC 6265 §8.5]. */
export class CookieJar {
  readonly #cookies = new Map<string, { value: string; secure: boolean }>();

  /** What to send to this URL: a cookie marked Secure goes over TLS only. */
  header(url: string): string {
    const isSecure = new URL(url).protocol === 'https:';
    const sent = [...this.#cookies].filter(([, { secure }]) => isSecure || !secure);
    return sent.map(([name, { value }]) => `${name}=${value}`).join('; ');
  }

  /** Takes the cookies of an answer; one that lies in the past is thrown away. */
  store(response: Pick<Response, 'headers'>): void {
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(/; */);
      const name = pair.slice(0, pair.indexOf('='));
      const expires = attributes.find((attribute) => /^expires=/i.test(attribute))?.slice('expires='.length);
      if (expires !== undefined && Date.parse(expires) <= Date.now()) this.#cookies.delete(name);
      else this.#cookies.set(name, { value: pair.slice(name.length + 1), secure: attributes.includes('Secure') });
    }
  }

  /** Puts a cookie there by hand. */
  set(name: string, value: string): void {
    this.#cookies.set(name, { value, secure: false });
  }

  get(name: string): string | undefined {
    return this.#cookies.get(name)?.value;
  }
}

export interface ClientOptions {
  jar?: CookieJar;
  signal?: AbortSignal;
  /** For a server whose certificate only you know: `new Agent({ connect: { ca } })`. */
  dispatcher?: Dispatcher;
}

export type Client = ReturnType<typeof openClient>;

/** A client of one server, or of several that share their sessions, when they get the same `jar`. */
export function openClient(url: string, { jar = new CookieJar(), signal, dispatcher }: ClientOptions = {}) {
  /** Sends a request with the jar's cookies. Whatever the status, this resolves. */
  async function send(path: string, init: RequestInit = {}): Promise<Response> {
    const cookie = jar.header(url);
    const headers = { ...(cookie ? { cookie } : {}), ...(init.headers as Record<string, string>) };
    const own = { ...(signal ? { signal } : {}), ...(dispatcher ? { dispatcher } : {}) };
    const response = await fetch(url + path, { redirect: 'manual', ...own, ...init, headers });
    jar.store(response);
    return response;
  }

  async function ask(method: string, path: string, body?: object): Promise<unknown> {
    const headers = { 'Content-Type': 'application/json' };
    const response = await send(path, { method, ...(body ? { headers, body: JSON.stringify(body) } : {}) });
    const answer = response.status === 204 ? undefined : await response.json().catch(() => undefined);
    if (response.ok) return answer;
    const detail = (answer as { detail?: string } | undefined)?.detail ?? response.statusText;
    throw new ClientError(response.status, `${method} ${path}: ${response.status} ${detail}`);
  }

  /** Each throws a ClientError when the server says no. */
  return {
    jar,
    send,
    login: async (name: string, password: string) => (await ask('POST', PATHS.login, { name, password })) as Profile,
    profile: async () => (await ask('GET', PATHS.profile)) as Profile,
    prefer: (preference: string) => ask('PUT', `/preferences/${encodeURIComponent(preference)}`),
    logout: () => ask('POST', PATHS.logout),
    logoutEverywhere: async () => ((await ask('POST', PATHS.logoutEverywhere)) as { ended: number }).ended,
  };
}

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [url, name = DEMO_USER.name, password = DEMO_USER.password] = process.argv.slice(2);
    if (!url) return console.log('usage: node client.ts <url> [name password]');
    const client = openClient(url, { signal });
    const profile = async () => console.log('profile: ', await client.profile());
    try {
      await client.login(name, password);
      console.log('logged in');
      await profile();
      await client.prefer('large print');
      await profile();
      await client.logout();
      console.log('logged out');
      await profile();
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      console.log(error.message);
      if (error.code !== 'signed-out') process.exitCode = 1;
    }
  });
}
