/**
 * The demo's wire: read off the bytes by a proxy, with tokens as what they say. A line a message; bodies stay out, but for an error.
 */

import type { Story } from '@patterns/kit/story';
import type { FaultProxyOptions } from '@patterns/kit/testing/fault-proxy';
import { readParts } from './demo-forgery.ts';

export interface TokenWire extends Required<FaultProxyOptions> {
  /** Requests so far, by method and path. */
  readonly requests: Map<string, number>;
  /** Answers so far, by status. */
  readonly answers: Map<string, number>;
  /** The keys that the tokens which came by were signed with. */
  readonly keys: Set<string>;
  /** Whether lines are printed. */
  isShown: boolean;
}

export function tokenWire(story: Story, client: string, server: string): TokenWire {
  const wire: TokenWire = {
    requests: new Map(),
    answers: new Map(),
    keys: new Set(),
    isShown: true,
    onData(chunk, { direction }) {
      const text = chunk.toString('latin1');
      const [, ask] = /^([A-Z]+ \S+) HTTP\/1\.1\r\n/.exec(text) ?? [];
      const [, status] = /^HTTP\/1\.1 (\d+ .+)\r\n/.exec(text) ?? [];
      if (direction === 'up' && ask) {
        count(wire.requests, ask);
        const [, token] = /^authorization: bearer (\S+)/im.exec(text) ?? [];
        if (token) wire.keys.add(String(readParts(token).header.kid));
        if (wire.isShown) story.wire(client, server, [ask, ...(token ? [describe(token)] : [])].join('  '));
      } else if (direction === 'down' && status) {
        count(wire.answers, status.slice(0, 3));
        if (!wire.isShown) return;
        const [, error] = /\berror="(\w+)"|"error":"(\w+)"/.exec(text)?.filter((group) => group !== undefined) ?? [];
        story.wire(server, client, [status, ...(error ? [error] : [])].join('  '));
      }
    },
  };
  return wire;
}

const count = (counts: Map<string, number>, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);

/** What a token says, as far as the demo is about it. */
function describe(token: string): string {
  const { header, payload } = readParts(token);
  const { alg, kid, jwk } = header;
  const { sub, userId, aud, exp } = payload;
  const leftS = typeof exp === 'number' ? exp - Date.now() / 1_000 : undefined;
  const life = leftS === undefined ? 'no exp' : `${Math.abs(leftS).toFixed(1)} s ${leftS > 0 ? 'left' : 'too old'}`;
  const said = {
    alg,
    ...(typeof kid === 'string' && { kid: kid.slice(0, 6) }),
    ...(jwk !== undefined && { jwk: 'its own' }),
    ...(userId === undefined ? { sub: String(sub).slice(0, 8) } : { userId }),
    ...(typeof aud === 'string' && { aud: aud.replace(/^https:\/\//, '').split('.')[0] }),
  };
  return `{ ${Object.entries(said)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ')}, ${life} }`;
}
