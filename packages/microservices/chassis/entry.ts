/**
 * A service as a process: what all their entry points read from the environment, and how they come and go.
 *
 *     PORT, DATABASE_URL, REDIS_URL, REDIS_PREFIX          its own place
 *     SERVICE_KEY, SERVICE_PUBLIC_KEYS                     who it is (PEM), and who the others are (JSON: name to PEM)
 *     OTEL_EXPORTER_OTLP_ENDPOINT                          where spans go; without it they go nowhere
 */
import { ConfigError, envInteger, envPort, envUrl } from '@patterns/kit/env';
import { createLog, type Log } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { type Identity, openIdentity } from './identity.ts';
import { type EndedSpan, recordSpans } from './spans.ts';

export interface Place {
  readonly log: Log;
  readonly port: number;
  /** Aborts when the process is told to stop. */
  readonly signal: AbortSignal;
}

/** Runs a service until it is told to stop. Spans are sent off last, when everything else has ended. */
export async function runService(
  name: string,
  start: (place: Place) => Promise<AsyncDisposable & { readonly url?: string }>,
): Promise<void> {
  await main(async (stack, signal) => {
    const log = createLog(name);
    const exporting = process.env.OTEL_EXPORTER_OTLP_ENDPOINT ? exportSpans(name, log) : undefined;
    if (exporting) stack.defer(async () => (await exporting)[Symbol.asyncDispose]());
    const { url } = stack.use(await start({ log, port: envPort(), signal }));
    await exporting;
    console.log(url ? `listening on ${url}` : 'running');
  });
}

/** Loaded beside the start, and only when it is wanted: it takes longer than all the rest. Spans that end before are kept for it. */
async function exportSpans(service: string, log: Log): Promise<AsyncDisposable> {
  const waiting: EndedSpan[] = [];
  recordSpans((span) => void waiting.push(span));
  const { exportSpans } = await import('./span-export.ts');
  return exportSpans({ service, log, waiting });
}

/** @throws {ConfigError} when it is not set */
export const envDatabase = () =>
  envUrl('DATABASE_URL', { protocols: ['postgres:', 'postgresql:'], hint: 'the database of this service alone' });

/** @throws {ConfigError} when it is not set */
export const envRedis = () => ({
  redisUrl: envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: 'where events and jobs go through' }),
  prefix: process.env.REDIS_PREFIX ?? 'patterns:microservices:',
});

/** The addresses of another service's instances, with commas between. @throws {ConfigError} */
export function envUrls(name: string): string[] {
  const urls = (process.env[name] ?? '').split(',').filter((url) => url !== '');
  const isUrl = (url: string) => /^https?:$/.test(URL.parse(url)?.protocol ?? '');
  if (urls.length > 0 && urls.every(isUrl)) return urls;
  throw new ConfigError(`${name}: expected http://host:port, and commas between if there are several`);
}

/** The private key of this service, as PEM. @throws {ConfigError} */
export function envServiceKey(): string {
  const key = process.env.SERVICE_KEY;
  if (!key) throw new ConfigError('SERVICE_KEY is not set: a private key for ES256, as PEM');
  return key;
}

/** Who this service is. @throws {ConfigError} */
export const envIdentity = (service: string): Identity => openIdentity({ service, privateKey: envServiceKey() });

/** The public keys of those who may call, for `requireService`. @throws {ConfigError} */
export function envCallers(...names: string[]): Record<string, string> {
  const keys = JSON.parse(process.env.SERVICE_PUBLIC_KEYS || '{}') as Record<string, string>;
  const missing = names.find((name) => !keys[name]);
  if (missing) throw new ConfigError(`SERVICE_PUBLIC_KEYS has no key of ${missing}`);
  return Object.fromEntries(names.map((name) => [name, keys[name]!]));
}

/** Times that a demo or a test shortens. @throws {ConfigError} */
export const envMs = (name: string, fallbackMs: number) => envInteger(name, fallbackMs, { min: 1 });
