/**
 * Where a request goes. The app's address is fixed when the sidecar starts, and nothing that a client sends can change it: a
 * proxy that builds its target from Host or URL is an open door into the network behind it (SSRF).
 */
import type { IncomingMessage } from 'node:http';
import { ConfigError } from '@patterns/kit/env';
import { HttpProblem } from '@patterns/kit/problem';

export type Upstream = { readonly socketPath: string } | { readonly host: '127.0.0.1' | '::1'; readonly port: number };

/**
 * Reads `unix:/run/app.sock` or `http://127.0.0.1:3000`.
 * @throws {ConfigError} for anything else: an app that others on the network can reach is one that they reach past the sidecar.
 */
export function parseUpstream(text: string): Upstream {
  const url = URL.parse(text);
  if (url?.protocol === 'unix:' && url.pathname.length > 1) return { socketPath: decodeURIComponent(url.pathname) };
  const host = { '127.0.0.1': '127.0.0.1', localhost: '127.0.0.1', '[::1]': '::1' }[url?.hostname ?? ''];
  if (url?.protocol === 'http:' && host && url.pathname === '/')
    return { host: host as '127.0.0.1' | '::1', port: Number(url.port || 80) };
  throw new ConfigError(`the app's address is unix:/path or http://127.0.0.1:port, not ${text}`);
}

// #region target
/**
 * What the client asks for, as the app will be asked: the path as it came, byte for byte (`//x`, `..` and `%2F` included: who
 * normalizes here and is not the one who decides there opens a gap), and the host that was meant.
 * @throws {HttpProblem} 400
 */
export function splitTarget({ url = '', headers, rawHeaders }: IncomingMessage): { path: string; host: string } {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]!.toLowerCase() === 'host') hosts++;
  if (hosts > 1) throw new HttpProblem(400, { detail: 'more than one Host' }); // [RFC 9112 §3.2]
  if (url.startsWith('/') || url === '*') return { path: url, host: headers.host ?? '' };
  // The absolute form: its authority takes the place of Host [RFC 9112 §3.2.2]. It still goes to the app, and nowhere else.
  const absolute = /^https?:\/\/([^/?#@]+)([/?].*)?$/i.exec(url);
  if (!absolute) throw new HttpProblem(400, { detail: 'not a request target that is understood here' });
  const [, host = '', rest = '/'] = absolute;
  return { path: rest.startsWith('/') ? rest : `/${rest}`, host };
}
// #endregion
