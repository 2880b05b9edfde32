/**
 * The contract of a sidecar, whichever engine moves the bytes: clauses, each a sentence and a check over real sockets. What an
 * engine cannot keep it declares, and then the check must fail: else the declaration has become untrue in the other direction.
 */
import { randomBytes } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { Writable } from 'node:stream';
import type { ClauseOfTest } from '@patterns/kit/testing/clause-table';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import winston from 'winston';
import { type Sidecar, type SidecarOptions, startSidecar } from '../sidecar.ts';
import { type App, startApp } from './contract-app.ts';
import { attacks } from './contract-attacks.ts';
import { failures } from './contract-failures.ts';
import { framing } from './contract-framing.ts';
import { operation } from './contract-operation.ts';
import { powers } from './contract-powers.ts';

export type Clauses = Record<string, readonly [promise: string, check: (rig: Rig) => Promise<void>]>;

export interface Rig {
  /** A sidecar in front of an app of its own. Both end with the test. */
  start(handler?: RequestListener, options?: Partial<SidecarOptions>): Promise<Pair>;
  /** A sidecar in front of an app that is there already, or is not there. */
  startBefore(upstream: string, options?: Partial<SidecarOptions>): Promise<Omit<Pair, 'app'>>;
  /** What else ends with the test. */
  use<T extends AsyncDisposable | Disposable>(resource: T): T;
  readonly redisUrl: string;
  /** A prefix for keys that no other clause uses. */
  prefix(): string;
}

export interface Pair {
  app: App;
  sidecar: Sidecar;
  url: string;
  /** The access log so far: one object a line. */
  accessLog: () => Record<string, unknown>[];
  /** The same as it was written. */
  accessText: () => string;
  /** What else was logged. */
  messages: () => string;
}

const contract = { ...framing, ...failures, ...powers, ...attacks, ...operation };
export type Clause = keyof typeof contract & string;

/** Runs every clause against one engine. @param departures clauses that it does not keep, and why not */
export function contractOf(
  engine: NonNullable<SidecarOptions['engine']>,
  departures: Record<string, string> = {},
): void {
  // Much of it is waiting for a time limit: they wait together.
  describe(`contract of the ${engine} engine`, { concurrent: true }, () => {
    let leaks: AsyncDisposable;
    beforeAll(() => {
      leaks = noLeaks();
    });
    afterAll(() => leaks[Symbol.asyncDispose]());
    for (const [clause, [promise, check]] of Object.entries(contract)) {
      const departure = departures[clause];
      const kept = departure === undefined;
      const meta: { clause: ClauseOfTest } = { clause: { contract: 'sidecar contract', of: engine, clause, kept } };
      test(`${clause}: ${kept ? promise : `NOT kept, because ${departure}`}`, { meta }, async () => {
        await using stack = new AsyncDisposableStack();
        const checked = check(rigOf(engine, stack));
        if (kept) await checked;
        else await expect(checked).rejects.toThrow(/Not within|expected /);
      });
    }
  });
}

function rigOf(engine: NonNullable<SidecarOptions['engine']>, stack: AsyncDisposableStack): Rig {
  const rig: Rig = {
    async start(handler, options) {
      const app = stack.use(await startApp(handler));
      return { app, ...(await rig.startBefore(app.upstream, options)) };
    },
    async startBefore(upstream, options = {}) {
      const access = sink();
      const messages = sink();
      const log = winston.createLogger({
        level: 'debug',
        format: winston.format.json(),
        transports: [new winston.transports.Stream({ stream: messages.output })],
      });
      const sidecar = stack.use(
        await startSidecar({
          upstream,
          engine,
          log,
          ...options,
          accessLog: { output: access.output, ...options.accessLog },
        }),
      );
      return {
        sidecar,
        url: sidecar.url,
        accessLog: () =>
          access
            .text()
            .trim()
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line) as Record<string, unknown>),
        accessText: access.text,
        messages: messages.text,
      };
    },
    use: (resource) => stack.use(resource),
    redisUrl: inject('redisUrl'),
    prefix: () => `${inject('redisPrefix')}${randomBytes(4).toString('hex')}:`,
  };
  return rig;
}

function sink() {
  const chunks: Buffer[] = [];
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return { output, text: () => Buffer.concat(chunks).toString() };
}

/** The head of the nth answer (from 0) in what came back. */
export function headOf(received: string, n: number): string {
  return received.split(/(?=^HTTP\/1\.1 )/m)[n]?.split('\r\n\r\n')[0] ?? '';
}
