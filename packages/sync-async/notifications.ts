/**
 * Hears what PostgreSQL notifies. LISTEN belongs to a session, so this keeps a connection of its own, and opens another when it
 * breaks. What was notified meanwhile is not told again: `onListening` is the moment to look for oneself.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '@patterns/kit/log';
import pg from 'pg';

export interface ListenOptions {
  url: string;
  /** By the name of the channel. */
  channels: Readonly<Record<string, (payload: string) => void>>;
  onListening: () => void;
  log: Log;
}

/** So soon a lost connection is opened again: a restart of PostgreSQL takes about a second. */
const RECONNECT_MS = 1_000;

/** Listens until it is disposed. */
export function listenTo({ url, channels, onListening, log }: ListenOptions): AsyncDisposable {
  const stopping = new AbortController();
  let current: pg.Client | undefined;

  async function listenOnce(): Promise<void> {
    const client = new pg.Client({ connectionString: url, keepAlive: true, connectionTimeoutMillis: 5_000 });
    current = client;
    const over = new Promise<void>((resolve) => client.once('end', resolve).once('error', () => resolve()));
    client.on('error', (error) => log.warn('not listening', { reason: error.message }));
    client.on('notification', ({ channel, payload = '' }) => channels[channel]?.(payload));
    try {
      await client.connect();
      for (const channel of Object.keys(channels)) await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      onListening();
      if (!stopping.signal.aborted) await over;
    } finally {
      await client.end().catch(() => {});
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await listenOnce().catch((error: Error) => log.warn('cannot listen', { reason: error.message }));
      await delay(RECONNECT_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  const ended = run();
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await current?.end().catch(() => {});
      await ended;
    },
  };
}
