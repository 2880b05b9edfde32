/**
 * A small shared cache for what the app itself calls cacheable [RFC 9111]: GET, 200, an explicit max-age, nothing private.
 *
 * What surprises is what a cache makes of a header that the app reads and the key does not hold: one request with
 * `X-Theme: <script>` and everybody gets that answer. So an answer is stored only when the request that it was made for
 * carried nothing but headers which are in the key, named by Vary, or plainly harmless.
 */
import { LRUCache } from 'lru-cache';
import { directives, fieldsOf, isStorable, lifetimeSeconds, varyOf } from './cacheable.ts';
import { type Exchange, exchangeOf, type Power } from './exchange.ts';
import { endToEnd } from './hop-by-hop.ts';
import type { Metrics } from './metrics.ts';
import { PSEUDONYM } from './protocol.ts';

export interface CacheOptions {
  /** Of all bodies together. */
  maxBytes: number;
  /** Of one body: what is bigger passes through. */
  maxEntryBytes: number;
}

interface Stored {
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly storedAt: number;
  readonly lifetimeSeconds: number;
  /** How old it was when it came [RFC 9111 §4.2.3]. */
  readonly ageSeconds: number;
}

/** All answers for one URL; which one fits is decided by the headers that Vary names [RFC 9111 §4.1]. */
interface Variants {
  readonly names: readonly string[];
  readonly answers: ReadonlyMap<string, Stored>;
  readonly bytes: number;
}

const MAX_VARIANTS = 20; // beyond it, Vary names something that is different in each request

export function cacheResponses({ maxBytes, maxEntryBytes }: CacheOptions, metrics: Metrics): Power {
  const cache = new LRUCache<string, Variants>({ maxSize: maxBytes, sizeCalculation: ({ bytes }) => bytes });

  return (request, response, next) => {
    const exchange = exchangeOf(response);
    const { method = '', headers } = request;
    const key = `${exchange.host.toLowerCase()} ${exchange.path}`;
    // What changes the resource makes what is stored of it old [RFC 9111 §4.4].
    if (!['GET', 'HEAD', 'OPTIONS'].includes(method)) {
      exchange.onAnswer = (status) => {
        if (status < 400) cache.delete(key);
        return undefined;
      };
    }
    if (method !== 'GET' || headers.range !== undefined) return next();
    const wants = directives(headers['cache-control']);
    const hit = wants.has('no-cache') || wants.has('no-store') ? undefined : find(key, exchange);
    if (hit) return answer(exchange, hit);
    exchange.cache = 'miss';
    metrics.cache.inc({ result: 'miss' });
    if (!wants.has('no-store')) exchange.onAnswer = (status, rawHeaders) => take(key, exchange, status, rawHeaders);
    next();
  };

  function find(key: string, exchange: Exchange): Stored | undefined {
    const variants = cache.get(key);
    const stored = variants?.answers.get(variantOf(variants.names, exchange));
    return stored && ageOf(stored) < stored.lifetimeSeconds ? stored : undefined;
  }

  // #region store
  /** Decides at the head of an answer whether its body is collected, and stores it at its end. */
  function take(key: string, exchange: Exchange, status: number, rawHeaders: readonly string[]) {
    const fields = fieldsOf(rawHeaders);
    const names = varyOf(fields);
    if (Number(fields.get('content-length') ?? 0) > maxEntryBytes) return undefined;
    if (status !== 200 || names === undefined || !isStorable(exchange.request, fields, names)) return undefined;
    const chunks: Buffer[] = [];
    let bytes = 0;
    return {
      chunk(chunk: Buffer) {
        bytes += chunk.length;
        if (bytes <= maxEntryBytes) chunks.push(chunk);
        else chunks.length = 0;
      },
      end() {
        if (bytes > maxEntryBytes) return;
        const kept = endToEnd(rawHeaders, (name) => name === 'age' || name === 'content-length');
        const ageSeconds = Number(fields.get('age') ?? 0) || 0;
        const stored = { rawHeaders: kept, body: Buffer.concat(chunks), storedAt: performance.now(), ageSeconds };
        const same = cache.peek(key);
        const others = same?.names.join() === names.join() && same.answers.size < MAX_VARIANTS ? same.answers : [];
        const answers = new Map(others).set(variantOf(names, exchange), {
          ...stored,
          lifetimeSeconds: lifetimeSeconds(fields),
        });
        const size = answers.values().reduce((sum, each) => sum + each.body.length + 1_000, 0); // 1 KB for the headers
        cache.set(key, { names, answers, bytes: size });
        exchange.cache = 'stored';
      },
    };
  }
  // #endregion

  function answer({ request, response }: Exchange, stored: Stored): void {
    const exchange = exchangeOf(response);
    exchange.cache = 'hit';
    metrics.cache.inc({ result: 'hit' });
    const age = Math.floor(ageOf(stored));
    const headers = [
      ...stored.rawHeaders,
      ...exchange.fields,
      'Age',
      String(age),
      'Cache-Status',
      `${PSEUDONYM}; hit; ttl=${stored.lifetimeSeconds - age}`,
    ];
    const etag = fieldsOf(stored.rawHeaders).get('etag');
    const has = String(request.headers['if-none-match'] ?? '')
      .split(',')
      .map((tag) => tag.trim().replace(/^W\//, ''));
    if (etag !== undefined && has.includes(etag.replace(/^W\//, ''))) {
      response.writeHead(304, headers).end();
    } else {
      response.writeHead(200, [...headers, 'Content-Length', String(stored.body.length)]).end(stored.body);
    }
  }
}

/** The values of the named request headers, as one text that no value can forge. */
function variantOf(names: readonly string[], { request }: Exchange): string {
  return JSON.stringify(names.map((name) => request.headers[name] ?? null));
}

function ageOf({ storedAt, ageSeconds }: Stored): number {
  return ageSeconds + (performance.now() - storedAt) / 1_000;
}
